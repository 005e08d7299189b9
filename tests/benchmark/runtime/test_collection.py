"""The collector of reference cycles pauses while tables are built, and runs again after an error."""

import gc

import pytest

from benchmark.runtime.collection import paused_collection


def test_the_collector_goes_on_after_an_error():
    @paused_collection()
    def fail():
        assert not gc.isenabled()
        raise ValueError("damaged")

    with pytest.raises(ValueError, match="damaged"):
        fail()
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off():
    gc.disable()
    try:
        with paused_collection():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
