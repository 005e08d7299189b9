"""What is written is whole or not there."""

import os

import pytest

from benchmark.errors import UserError
from benchmark.storage import files as store
from benchmark.storage.files import atomic_directory, atomic_file, write_text
from benchmark.storage.hashing import content_key, file_digest


def test_a_file_appears_only_when_it_is_whole(tmp_path):
    target = tmp_path / "deep" / "file.txt"
    write_text(target, "old")
    with pytest.raises(FileNotFoundError), atomic_file(target) as temporary:
        (temporary.parent / "absent").rename(temporary)
    assert target.read_text(encoding="utf-8") == "old"
    assert list(target.parent.iterdir()) == [target]


def test_a_folder_appears_only_when_it_is_whole(tmp_path):
    target = tmp_path / "folder"
    with pytest.raises(FileNotFoundError), atomic_directory(target) as temporary:
        (temporary / "absent").rename(temporary / "a")
    assert not list(tmp_path.iterdir())
    with atomic_directory(target) as temporary:
        (temporary / "a").touch()
    assert [path.name for path in target.iterdir()] == ["a"]


def test_of_two_writers_of_one_folder_the_first_wins(tmp_path):
    target = tmp_path / "folder"
    with atomic_directory(target) as late:
        (late / "file").write_text("late", encoding="utf-8")
        with atomic_directory(target) as early:
            (early / "file").write_text("early", encoding="utf-8")
    assert (target / "file").read_text(encoding="utf-8") == "early"
    assert list(tmp_path.iterdir()) == [target]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        write_text(tmp_path / "file" / "below", "text")


def test_keys_depend_on_every_part_and_on_nothing_else():
    assert content_key(1, {"a": [1, 2]}) == content_key(1, {"a": (1, 2)})
    keys = {content_key(1), content_key("1"), content_key([1]), content_key(1, None), content_key({"a": 1})}
    assert len(keys) == 5


def test_the_digest_is_sha256(tmp_path):
    (tmp_path / "f").write_bytes(b"abc")
    assert file_digest(tmp_path / "f") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_only_what_loupe_left_half_written_is_ever_removed(own_folders):
    runs = own_folders / "runs"
    ours, theirs = runs / "models" / ".loupe-key.abc", runs / "project" / ".git"
    for path in (ours, theirs):
        path.mkdir(parents=True)
        os.utime(path, (0, 0))
    store.remove_leftovers()
    assert not ours.exists()
    assert theirs.exists()
