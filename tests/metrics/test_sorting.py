import numpy as np
import pytest
import torch

from metrics.sorting import ascending, percentile
from tests.metrics.maps import seeded


def test_both_roads_sort_alike():
    maps = seeded(3).saliency
    maps[1, 2, 3] = torch.nan
    torch.testing.assert_close(ascending(maps), maps.flatten(1).sort(dim=1).values, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("fraction", [0.0, 0.5, 0.99, 0.995, 1.0])
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (12, 15)])
def test_percentile_equals_numpy(fraction, shape):
    maps = seeded(3, 20, 20).saliency[:, : shape[0], : shape[1]]
    expected = np.quantile(maps.flatten(1).numpy(), fraction, axis=1)
    assert percentile(maps, fraction).tolist() == pytest.approx(expected.tolist(), abs=1e-15)
