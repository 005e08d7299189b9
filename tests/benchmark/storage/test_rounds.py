"""A short run of concurrent verbs and of killed runs, and what they found."""

import pytest

from benchmark.submission import submit as submit_module
from tests.benchmark.storage.rounds import (
    WRITERS,
    Turns,
    concurrent_rounds,
    killed_rounds,
    published,
    submit_entry,
    workplace,
)


@pytest.fixture(scope="module")
def place():
    with workplace() as bench:
        yield bench


@pytest.mark.slow
def test_verbs_at_once_leave_the_tables_of_the_same_verbs_in_turn(place):
    outcomes = concurrent_rounds(place, 1, seed=1)
    assert {outcome for _, outcome in outcomes} == {"as in turn"}


@pytest.mark.slow
def test_a_killed_run_ends_with_the_same_bytes(place):
    outcomes = killed_rounds(place, 2, seed=1)
    assert {outcome for _, outcome in outcomes} <= {"the same bytes", "ended before"}


def test_baselines_of_a_protocol_that_is_published_during_a_submission_stay(place, monkeypatch):
    turns = Turns(place)
    expected = turns.content(("run-other", "submit"))
    turns.restore(())
    evaluate = submit_module.evaluate

    def evaluate_beside_a_run(*arguments):
        evaluate(*arguments)
        WRITERS["run-other"](place)

    monkeypatch.setattr(submit_module, "evaluate", evaluate_beside_a_run)
    submit_entry(place)
    assert published(place) == expected
