"""What the entry point sets before torch is loaded."""

import os

import pytest

from benchmark.__main__ import BUSY_SPIN_COUNT, SPIN_COUNT, choose_spin_count


@pytest.mark.parametrize(("load", "expected"), [(0.5, SPIN_COUNT), (4.0, SPIN_COUNT), (4.1, BUSY_SPIN_COUNT)])
def test_waiting_threads_of_a_busy_machine_sleep_early(monkeypatch, load, expected):
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0), raising=False)
    assert choose_spin_count() == expected


def test_where_no_load_is_known_the_machine_counts_as_idle(monkeypatch):
    monkeypatch.delattr(os, "getloadavg", raising=False)
    assert choose_spin_count() == SPIN_COUNT
