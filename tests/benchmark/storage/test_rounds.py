"""A short run of concurrent verbs and of killed runs, and what they found."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmark.storage.lock import writing_if_free
from benchmark.submission import submit as submit_module
from tests.benchmark.storage.differences import differing
from tests.benchmark.storage.kills import killed_rounds
from tests.benchmark.storage.rounds import concurrent_rounds, interleaved_rounds
from tests.benchmark.storage.verbs import WRITERS, Turns, published, submit_entry, workplace


@pytest.fixture(scope="module")
def place():
    with workplace() as bench:
        yield bench


@pytest.fixture(scope="module")
def turns(place):
    return Turns(place)


@pytest.mark.slow
def test_verbs_at_once_leave_the_tables_of_the_same_verbs_in_turn(turns):
    outcomes = concurrent_rounds(turns, 1, seed=1)
    assert {outcome for _, outcome in outcomes} == {"as in turn"}


@pytest.mark.slow
def test_a_killed_run_ends_with_the_same_bytes(place):
    outcomes = killed_rounds(place, 2, seed=1)
    assert {outcome for _, outcome in outcomes} <= {"the same bytes", "ended before"}


def test_baselines_of_a_protocol_that_is_published_during_a_submission_stay(place, turns, monkeypatch):
    expected = turns.content(("run-other", "submit"))
    turns.restore(())
    evaluate = submit_module.evaluate

    def evaluate_beside_a_run(*arguments):
        evaluate(*arguments)
        WRITERS["run-other"](place)

    monkeypatch.setattr(submit_module, "evaluate", evaluate_beside_a_run)
    submit_entry(place)
    assert published(place) == expected


def test_a_record_that_a_run_publishes_while_a_submission_is_checked_stays(place, turns, monkeypatch):
    expected = turns.content(("submit", "run-noise"))
    turns.restore(())
    check, waiting = submit_module.check_record, [WRITERS["run-noise"]]

    def is_free():
        with writing_if_free(next((place.directory / "results").glob("*/quick"))) as is_held:
            return is_held

    def check_beside_a_run(path):
        with ThreadPoolExecutor(1) as threads:  # this thread may hold the lock, another one does not
            while waiting and threads.submit(is_free).result():
                waiting.pop()(place)
        return check(path)

    monkeypatch.setattr(submit_module, "check_record", check_beside_a_run)
    submit_entry(place)
    for run in waiting:
        run(place)
    assert differing(published(place), expected) == []


@pytest.mark.slow
def test_a_verb_inside_another_one_leaves_the_tables_of_both_in_turn(turns):
    outcomes = interleaved_rounds(turns, 1, seed=1, verbs=("submit",))
    assert {outcome for _, outcome in outcomes} == {"as in turn"}


def test_differences_say_what_is_missing_and_what_is_another():
    one = {"a.csv": b"x,y\n1,2\n", "b": '{"k": 1, "l": 2}', "c": "gone", "m": ["1", "2"]}
    other = {"a.csv": b"x,y\n1,3\n", "b": '{"k": 1, "l": 3}', "d": "new", "m": ["1"]}
    assert differing(one, other) == [
        "a.csv: 1 rows with other y",
        "b: other l",
        "c: not expected",
        "d: missing",
        "m: 1 lines differ: ['+2']",
    ]
