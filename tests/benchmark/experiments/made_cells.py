"""Finished cells without a training: the committed record of a model, under any key, settings and data."""

import json
from types import SimpleNamespace

from benchmark.experiments.job import Job
from benchmark.storage.hashing import file_digest
from benchmark.storage.runs import cell_dir
from tests.committed import QUICK, committed_sidecar, unnamed_content

MODEL = "mobilenet/standard"


class MadeJob(Job):
    """A job whose keys are given."""

    @property
    def key(self):
        return self.data.keys["key"]

    @property
    def protocol(self):
        return self.data.keys["protocol"]

    @property
    def identity(self):
        return self.data.keys["identity"]


def make_cell(job_like: Job, *, key: str, protocol: str, identity: str, **changes) -> MadeJob:
    """Writes a finished cell with the committed scores, and returns its job."""
    keys = {"key": key, "protocol": protocol, "identity": identity}
    manifest = QUICK / "split.csv"
    data = SimpleNamespace(keys=keys, key=key, name="made", manifest=manifest, synthetic=True)
    job = MadeJob(cell=job_like.cell, data=data, preset=job_like.preset, device=job_like.device)
    directory = cell_dir(key)
    directory.mkdir(parents=True)
    for suffix in ("scores.parquet", "predictions.parquet", "classification.csv"):
        (directory / suffix).write_bytes(committed_sidecar(MODEL, suffix).read_bytes())
    record = unnamed_content(MODEL)
    record |= {"key": key, "protocol": protocol, "identity": identity, "variant": job.cell.variant, "dataset": "made"}
    record |= {"files": {path.name: file_digest(path) for path in sorted(directory.iterdir())}}
    record["settings"]["training"] |= changes
    (directory / "record.json").write_text(json.dumps(record), encoding="utf-8")
    return job
