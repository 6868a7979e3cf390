"""What a publication without single patients holds of them: a whole run is searched, file by file and cell by cell."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

from immunocast.store.runfolder import RunFolder
from immunocast.tracking.mlflow import Tracker
from immunocast.tracking.publish import publish


@pytest.fixture
def real(small_run, tmp_path):
    """A whole run whose patients pass for real ones, and their ids."""
    run = RunFolder(tmp_path / "runs" / small_run.path.name)
    shutil.copytree(small_run.path, run.path)
    run.update_manifest(provenance={**run.manifest()["provenance"], "synthetic": False, "name": "hospital"})
    ids = set(run.table("cohort")["patient_id"])
    assert len(ids) == 300
    return run, ids


def naming(folder: Path, ids: set[str]) -> set[str]:
    """Names of the files of a store in which an id of a patient stands."""
    found = set()
    files = [folder / "mlflow.db", *(f for f in (folder / "mlartifacts").rglob("*") if f.is_file())]
    for file in files:
        if file.suffix == ".parquet":
            content = pd.read_parquet(file).to_csv()
        elif file.suffix == ".db":
            with closing(sqlite3.connect(file)) as connection:
                content = "\n".join(connection.iterdump())
        else:
            content = file.read_bytes().decode("utf-8", "replace")
        if any(one in content for one in ids):
            found.add(file.name)
    return found


def test_no_id_and_no_picture_of_a_patient_is_published(real, store, tmp_path):
    run, ids = real
    tracker = Tracker(store, patient_tables=False)
    published = publish(run, tracker)
    place = Path(store.removeprefix("sqlite:///")).parent
    assert not naming(place, ids)
    there = {f.name for f in (place / "mlartifacts").rglob("*") if f.is_file()}
    assert {"report.html", "metrics.parquet", "shap_importance.png"} <= there
    assert not [name for name in there if name.startswith("shap_waterfall")]
    report = (run.path / "report.html").read_text()
    (shared,) = (place / "mlartifacts").rglob("report.html")
    assert "Single patients were left out" in shared.read_text()
    assert len(shared.read_text()) < len(report)
    description = tracker.client.get_run(published.run_id).data.tags["mlflow.note.content"]
    assert "shap_waterfall" not in description


@pytest.mark.slow
def test_with_them_they_are_where_the_docs_say(real, store):
    run, ids = real
    publish(run, Tracker(store))
    place = Path(store.removeprefix("sqlite:///")).parent
    tables = {"cohort", "conformal", "interaction_values", "predictions", "shap", "stability", "truth"}
    assert naming(place, ids) == {"report.html", *(f"{name}.parquet" for name in tables)}
