"""The page of `make bench`, made from measurements that are made up: nothing is timed here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmark.storage.paths import ROOT
from tests.performance import measuring, report
from tests.performance.measuring import PeakMemory, until_done

MADE_WITH = {
    "commit": "0123456789abcdef",
    "uncommitted_changes": False,
    "packages": {"torch": "2.0.0"},
    "processor": "Imagined(R) Processor",
    "cores": 2,
    "accelerator": None,
}


def measured(group, times, load=0.5, nice=0, memory=3 * 2**20):
    """What pytest-benchmark writes, as far as the report reads it."""
    notes = {"load": load, "nice": nice, "threads": 1, "memory": memory}
    tests = [
        {"group": group, "name": f"test_{name}", "extra_info": notes, "stats": {"min": best, "rounds": 3}}
        for name, best in times.items()
    ]
    return {"benchmarks": tests}


GINI = measured("gini", {"metric[loupe-gini]": 0.002, "metric[quantus-gini]": 0.05, "floor": 0.001})
GRAD_CAM = measured("grad-cam", {"loupe": 0.4, "captum": 1.0})


def table(path):
    """Cells of the page's rows, by the first of them."""
    lines = [line.split("|")[1:-1] for line in path.read_text().splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in cells] for cells in lines]
    return {name: cells for name, *cells in rows if name}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("test_loupe", "loupe"),
        ("test_loupe_curves", "loupe"),
        ("test_metric[loupe-roc-auc]", "loupe"),
        ("test_metric[quantus-unchecked-roc-auc]", "peer"),
        ("test_floor[regimes]", "floor"),
        ("test_floors_apart", "peer"),
    ],
)
def test_the_role_stands_in_the_name(name, expected):
    assert report.role(name) == expected


def test_ratios_are_to_ours_and_to_the_floor(tmp_path):
    path = report.write(GINI, MADE_WITH, tmp_path, selected=False)
    assert path.name == "imagined-processor-2-cores.md"
    assert table(path) == {
        "metric[loupe-gini]": ["2.00 ms", "", "2.00", "3", "3 MiB"],
        "metric[quantus-gini]": ["50.0 ms", "25", "50", "3", "3 MiB"],
        "floor": ["1.00 ms", "", "", "3", "3 MiB"],
    }


def test_what_a_test_tells_of_itself_stands_behind_its_name(tmp_path):
    one = measured("any", {"loupe": 3.0})
    one["benchmarks"][0]["extra_info"]["told"] = "train 2.00 s, score 1.00 s"
    assert "loupe (train 2.00 s, score 1.00 s)" in table(report.write(one, MADE_WITH, tmp_path, selected=False))


def test_a_slower_loupe_is_not_hidden(tmp_path):
    slow = measured("any", {"loupe": 2.0, "captum": 0.5})
    assert table(report.write(slow, MADE_WITH, tmp_path, selected=False))["captum"][1] == "0.25"


def test_of_several_floors_the_longest_binds(tmp_path):
    two = measured("any", {"loupe": 6.0, "floor_of_copies": 1.0, "floor_of_forwards": 3.0}, memory=None)
    assert table(report.write(two, MADE_WITH, tmp_path, selected=False))["loupe"] == ["6.00 s", "", "2.00", "3", ""]


def test_no_lead_is_told_where_several_rows_are_ours(tmp_path):
    several = measured("any", {"loupe[a]": 1.0, "loupe[b]": 2.0, "captum": 4.0})
    assert table(report.write(several, MADE_WITH, tmp_path, selected=False))["captum"][1] == ""


def test_a_run_of_one_group_leaves_the_others(tmp_path):
    report.write(GINI, MADE_WITH, tmp_path, selected=False)
    path = report.write(GRAD_CAM, MADE_WITH | {"commit": "fedcba9876543210"}, tmp_path, selected=True)
    assert {"metric[quantus-gini]", "captum"} <= table(path).keys()
    text = path.read_text()
    assert "commit 01234567," in text
    assert "commit fedcba98," in text
    assert text.index("## gini") < text.index("## grad-cam")


def test_a_part_of_a_group_takes_no_rows_from_it_but_a_whole_run_does(tmp_path):
    report.write(GRAD_CAM, MADE_WITH, tmp_path, selected=False)
    alone = measured("grad-cam", {"loupe": 0.1})
    assert table(report.write(alone, MADE_WITH, tmp_path, selected=True))["loupe"][0] == "400 ms"
    rows = table(report.write(alone, MADE_WITH, tmp_path, selected=False))
    assert rows.keys() == {"loupe"}
    assert rows["loupe"][0] == "100 ms"


def test_a_new_run_of_a_group_replaces_its_times(tmp_path):
    report.write(GRAD_CAM, MADE_WITH, tmp_path, selected=False)
    again = measured("grad-cam", {"loupe": 0.2, "captum": 1.0, "pytorch_grad_cam": 2.0})
    rows = table(report.write(again, MADE_WITH, tmp_path, selected=True))
    assert [rows[name][1] for name in ("captum", "pytorch_grad_cam")] == ["5.00", "10"]


@pytest.mark.parametrize(
    ("load", "nice", "said"),
    [(2.0, 0, None), (2.5, 0, "Noisy: load 2.5 on 2 cores."), (1.0, 10, "Noisy: run with nice 10, behind others.")],
)
def test_the_page_warns_of_a_busy_machine(tmp_path, load, nice, said):
    report.write(GINI, MADE_WITH, tmp_path, selected=False)
    busy = measured("grad-cam", {"loupe": 0.4}, load=load, nice=nice)
    text = report.write(busy, MADE_WITH, tmp_path, selected=False).read_text()
    assert ("1 of 2 groups are noisy" in text) == bool(said)
    assert said in text if said else "Noisy" not in text


def test_a_card_has_a_page_of_its_own(tmp_path):
    path = report.write(GINI, MADE_WITH | {"accelerator": "NVIDIA Card X"}, tmp_path, selected=False)
    assert path.name == "nvidia-card-x.md"
    assert path.read_text().startswith("# Speed on NVIDIA Card X, Imagined(R) Processor, 2 cores\n")


def test_changes_without_commit_are_told(tmp_path):
    path = report.write(GINI, MADE_WITH | {"uncommitted_changes": True}, tmp_path, selected=False)
    assert "commit 01234567 with uncommitted changes," in path.read_text()


def test_the_run_hands_over_what_was_asked_and_writes_what_was_measured(tmp_path, monkeypatch):
    """With pytest's exit status; and without a page where nothing was measured."""
    calls = []

    def run(words, **_):
        calls.append(words)
        if "-k" in words:
            told = next(word for word in words if word.startswith("--benchmark-json=")).partition("=")[2]
            Path(told).write_text(json.dumps(GINI), encoding="utf-8")
        return type("Done", (), {"returncode": 5})

    monkeypatch.setattr(report.subprocess, "run", run)
    monkeypatch.setattr(report, "environment", lambda device: MADE_WITH | {"device": device.type})
    monkeypatch.setenv("LOUPE_RESULTS", str(tmp_path))
    assert report.main([]) == 5
    assert not (tmp_path / "performance").exists()
    report.main(["-k", "sparsity"])
    assert calls[1][-2:] == ["-k", "sparsity"]
    assert {"tests/performance", "--benchmark-enable", "--benchmark-only"} <= set(calls[1])
    assert len(table(tmp_path / "performance" / "imagined-processor-2-cores.md")) == 3


def test_on_cuda_a_call_ends_when_the_card_is_done(monkeypatch):
    order = []
    monkeypatch.setattr(torch.cuda, "synchronize", order.append)
    cuda = torch.device("cuda")
    assert until_done(lambda text: order.append(text) or 7, cuda)("computed") == 7
    assert order == ["computed", cuda]


def test_on_the_cpu_nothing_is_wrapped(timed):
    assert timed(len) is len


def test_peak_memory_counts_what_came_and_went():
    """In a process of its own: one that has tested much else may hold the memory already."""
    code = (
        "import torch; from tests.performance.measuring import PeakMemory; memory = PeakMemory(torch.device('cpu')); "
        "torch.ones(256 * 2**20, dtype=torch.uint8); print(memory.bytes())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    if done.stdout.strip() == "None":
        pytest.skip("this system does not tell the peak of a process")
    assert 0.9 < int(done.stdout) / (256 * 2**20) < 2


def test_peak_memory_is_unknown_where_the_system_does_not_tell(tmp_path, monkeypatch):
    monkeypatch.setattr(measuring, "PROCESS", tmp_path)
    assert PeakMemory(torch.device("cpu")).bytes() is None


def test_device_and_threads_come_from_the_environment(monkeypatch):
    monkeypatch.delenv("LOUPE_BENCH_THREADS", raising=False)
    monkeypatch.delenv("LOUPE_BENCH_DEVICE", raising=False)
    assert (measuring.chosen_device().type, measuring.chosen_threads()) == ("cpu", 1)
    monkeypatch.setenv("LOUPE_BENCH_THREADS", "4")
    monkeypatch.setenv("LOUPE_BENCH_DEVICE", "meta")
    assert (measuring.chosen_device().type, measuring.chosen_threads()) == ("meta", 4)
