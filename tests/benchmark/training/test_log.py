"""Curves for TensorBoard, read back by TensorBoard itself."""

import pytest

from benchmark.errors import UserError
from benchmark.training import log
from benchmark.training.state import History

accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # protobuf's own
def test_losses_are_written_epoch_by_epoch_and_added_to(tmp_path):
    write = log.epoch_log("tensorboard", tmp_path)
    history = History()
    for done in (1, 2, 3):
        history.losses.append(1 / done)
        history.validation.append(2 / done)
        write(done, history)
    events = accumulator.EventAccumulator(str(tmp_path)).Reload()
    for tag, of in (("loss/train", 1), ("loss/validation", 2)):
        scalars = events.Scalars(tag)
        assert [scalar.step for scalar in scalars] == [1, 2, 3]
        assert [scalar.value for scalar in scalars] == pytest.approx([of / 1, of / 2, of / 3])


def test_without_a_kind_nothing_is_written(tmp_path):
    log.epoch_log(None, tmp_path)(1, History(losses=[1.0]))
    assert not list(tmp_path.iterdir())


def test_what_nobody_can_write_is_refused(monkeypatch):
    with pytest.raises(UserError, match="--log paper: unknown"):
        log.check_log("paper")
    monkeypatch.setattr(log, "find_spec", lambda _name: None)
    with pytest.raises(UserError, match="pip install tensorboard"):
        log.check_log("tensorboard")
