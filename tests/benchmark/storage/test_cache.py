"""Files under runs/ are verified when they are used, and made again where they are damaged."""

import logging
import os
import threading
import time

import pytest

from benchmark.errors import UserError
from benchmark.storage import cache
from benchmark.storage.cache import cached_directory, cached_file, find_damage, is_intact, load_or_make, sums_file
from benchmark.storage.files import atomic_file, remove_leftovers
from benchmark.storage.lock import writing
from benchmark.storage.runs import runs_dir

pytestmark = pytest.mark.usefixtures("own_folders")


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.WARNING, "loupe")
    return caplog


def make(path):
    path.write_bytes(b"content")


def read(path):
    return path.read_bytes()


def test_a_damaged_file_is_named_and_made_again(lines):
    path = runs_dir() / "maps" / "m.npy"
    assert load_or_make(path, make, read) == b"content"
    assert load_or_make(path, None, read) == b"content"
    for damage in (b"", b"c0ntent", b"content more"):
        path.write_bytes(damage)
        assert load_or_make(path, make, read) == b"content"
    assert len(lines.messages) == 3
    assert all(line.startswith(f"{path} is damaged (") and line.endswith("it is made again") for line in lines.messages)


def test_files_that_were_exchanged_with_their_digests_do_not_match(lines):
    one, other = (runs_dir() / "maps" / f"{name}.npy" for name in "ab")
    load_or_make(one, make, read)
    load_or_make(other, lambda path: path.write_bytes(b"another"), read)
    for first, second in ((one, other), (sums_file(one), sums_file(other))):
        content = first.read_bytes()
        first.write_bytes(second.read_bytes())
        second.write_bytes(content)
    assert load_or_make(one, make, read) == b"content"
    assert "it is that of maps/b.npy" in lines.messages[0]


def test_files_of_earlier_versions_are_accepted_once_and_verified_then(lines):
    path = runs_dir() / "maps" / "m.npy"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"old")
    assert load_or_make(path, make, read) == b"old"
    assert lines.messages == []
    path.write_bytes(b"bad")
    assert load_or_make(path, make, read) == b"content"
    assert is_intact(path, lambda _: False)
    sums_file(path).unlink()
    cache._verified.clear()
    assert not is_intact(path, lambda _: False)


def test_content_that_cannot_be_read_is_made_again(lines):
    path = runs_dir() / "maps" / "m.npy"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"old")

    def strict(path):
        if path.read_bytes() != b"content":
            raise EOFError
        return 1

    assert load_or_make(path, make, strict) == 1
    assert "EOFError" in lines.messages[0]


def test_an_intact_file_survives_a_lack_of_memory(lines):
    path = runs_dir() / "maps" / "m.npy"
    load_or_make(path, make, read)
    with pytest.raises(MemoryError):
        load_or_make(path, make, lambda _: bytearray(2**62))
    assert path.exists()
    assert lines.messages == []


@pytest.mark.parametrize("harm", ["change", "remove", "add", "empty sums", "broken sums", "fifo"])
def test_a_directory_is_damaged_if_any_of_its_files_is(harm, lines):
    directory = runs_dir() / "cells" / "key"
    with cached_directory(directory) as temporary:
        (temporary / "a").write_bytes(b"a")
        (temporary / "b").write_bytes(b"b")
    assert is_intact(directory)
    if harm in {"remove", "fifo"}:
        (directory / "a").unlink()
    if harm == "fifo":
        os.mkfifo(directory / "a")
    elif harm in {"change", "add"}:
        (directory / ("a" if harm == "change" else "c")).write_bytes(b"x")
    elif harm != "remove":
        sums_file(directory).write_text("" if harm == "empty sums" else '{"path": 1}', encoding="utf-8")
    assert not is_intact(directory)
    assert not directory.exists()
    assert len(lines.messages) == 1


def test_a_link_is_removed_and_what_it_leads_to_stays(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a").write_bytes(b"a")
    link = runs_dir() / "models" / "key"
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    assert is_intact(link)
    assert [path.name for path in outside.iterdir()] == ["a"]  # nothing is written through the link
    cache._verified.clear()
    assert not is_intact(link, lambda _: False)
    assert not link.is_symlink()
    assert (outside / "a").read_bytes() == b"a"


def test_no_link_leads_a_write_or_a_removal_out_of_the_runs(tmp_path):
    outside = tmp_path / "outside"
    (outside / ".loupe-old").mkdir(parents=True)
    os.utime(outside / ".loupe-old", (0, 0))
    runs_dir().mkdir()
    (runs_dir() / "maps").symlink_to(outside)
    (runs_dir() / ".loupe-link").symlink_to(outside)
    remove_leftovers()
    assert (outside / ".loupe-old").is_dir()
    with pytest.raises(UserError, match="is a link out of"), atomic_file(runs_dir() / "maps" / "m.npy"):
        pass
    assert len(list(outside.iterdir())) == 1


def test_leftovers_are_removed_from_each_of_our_directories():
    old = [runs_dir() / ".loupe-a", runs_dir() / "maps" / ".loupe-b", runs_dir().with_name("results") / ".loupe-c"]
    old.append(runs_dir().with_name("results") / "set" / "quick" / "records" / ".loupe-d")
    for path in old:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (0, 0))
    remove_leftovers()
    assert not any(path.exists() for path in old)


def test_of_a_large_file_parts_are_verified_unless_its_time_changed(monkeypatch):
    monkeypatch.setattr(cache, "BLOCK_SIZE", 2**20)
    monkeypatch.setattr(cache, "MAX_FULL_CHECK_SIZE", 2**21)
    hashed = []
    hash_block = cache._hash_block
    monkeypatch.setattr(cache, "_hash_block", lambda *block: hashed.append(block) or hash_block(*block))
    path = runs_dir() / "data" / "images.u8"
    with cached_file(path) as temporary:
        temporary.write_bytes(bytes(6 * 2**20))
    hashed.clear()
    assert find_damage(path) == ""
    assert hashed == []  # this process wrote it
    cache._verified.clear()
    assert find_damage(path) == ""
    assert len(hashed) == 2
    with path.open("r+b") as file:
        file.seek(5 * 2**20)
        file.write(b"x")
    assert "other bytes" in find_damage(path)
    assert len(hashed) == 2 + 6


def test_one_writer_at_a_time(tmp_path):
    entered, notices = [], []

    def other():
        with writing(tmp_path / "results", notices.append):
            entered.append(time.monotonic())

    with writing(tmp_path / "results"), writing(tmp_path / "results"):
        thread = threading.Thread(target=other)
        thread.start()
        time.sleep(0.2)
        assert entered == []
    thread.join()
    assert len(entered) == 1
    assert notices == []
