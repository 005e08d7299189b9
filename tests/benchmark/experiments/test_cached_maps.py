"""Where the maps behind the scores of a record are looked for."""

from pathlib import Path

import pytest

from benchmark.data.load import Source
from benchmark.experiments.cached_maps import load_cached_maps
from benchmark.storage.record import load_record
from benchmark.storage.results import record_files
from benchmark.storage.runs import maps_dir
from tests.committed import QUICK


@pytest.mark.usefixtures("own_folders")
def test_no_images_are_rendered_to_find_the_maps_of_other_data(tmp_path, monkeypatch):
    record = load_record(record_files(QUICK)[0])
    maps_dir().mkdir(parents=True)
    rendered = []
    monkeypatch.setattr("benchmark.data.load._render_embedded", lambda: rendered.append(1) or Path("nowhere"))
    other = record.model_copy(update={"synthetic": False})
    assert load_cached_maps(other, "grad-cam", Source(), tmp_path) is None
    assert not rendered
    assert load_cached_maps(record, "grad-cam", Source(), tmp_path) is None
    assert rendered
