"""What `run` and `score` print of names that they publish."""

from types import SimpleNamespace

import pytest

from benchmark.cli.run import _show_privacy
from tests.committed import QUICK


@pytest.mark.parametrize("synthetic", [True, False])
def test_only_names_of_real_images_are_warned_of(capsys, synthetic):
    _show_privacy(SimpleNamespace(synthetic=synthetic, classes=("Acne",)), QUICK)
    assert ("look like record numbers" in " ".join(capsys.readouterr().out.split())) is not synthetic
