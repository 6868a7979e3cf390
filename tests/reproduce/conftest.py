"""A small sealed run with a real configuration and real provenance, made without fitting anything."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pytest

from immunocast.config import build, frozen_yaml, load_config
from immunocast.store.code_state import code_state, environment
from immunocast.store.runfolder import RunFolder


def seal(folder: Path, overrides: list[str]) -> RunFolder:
    """A run folder with the cohort, two more tables and a bundle, as if the pipeline had made it."""
    cfg = load_config(overrides)
    tables = build(cfg.cohort, "cohort").load()
    work = RunFolder(folder / ".work")
    work.write_table("cohort", tables.cohort)
    work.write_table("checks", pd.DataFrame())
    work.write_table(
        "thresholds",
        pd.DataFrame(
            {
                "model": "ridge",
                "recalibration": "none",
                "scheme": "kfold",
                "endpoint": "response",
                "repeat": 0,
                "fold": ["0", "1"],
                "rule": "youden",
                "threshold": [0.3, 0.4],
                "n": 40,
                "n_events": 10,
                "note": "",
            }
        ),
    )
    bundle = work.bundle_path("ridge", "final") / "bundle.json"
    bundle.parent.mkdir(parents=True)
    bundle.write_text('{"coef": [1.0]}\n')
    work.write_meta("load", provenance=asdict(tables.provenance), endpoint="response")
    work.write_meta("report", code=code_state(), environment=environment())
    (work.path / "config.yaml").write_text(frozen_yaml(cfg))
    return work.seal(folder / "20260101T000000000Z-small-000000")


@pytest.fixture(scope="session")
def sealed_synthetic(tmp_path_factory):
    return seal(tmp_path_factory.mktemp("sealed"), ["cohort=synthetic_tiny", "experiment=quick"])


@pytest.fixture
def run(sealed_synthetic, tmp_path):
    """A copy of the run, so that a test may write into it."""
    target = tmp_path / "runs" / sealed_synthetic.path.name
    shutil.copytree(sealed_synthetic.path, target)
    return RunFolder(target)
