from __future__ import annotations

import importlib
import json
import os
import shutil
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.tracking.conftest import FOLDS

from immunocast.errors import NotFoundError, PublishError
from immunocast.models.bundle import load_bundle
from immunocast.store.runfolder import RunFolder
from immunocast.tracking.mlflow import Tracker
from immunocast.tracking.mlflow.views import ensure_views, view_tags
from immunocast.tracking.publish import publish


@pytest.fixture
def tracker(store):
    return Tracker(store)


def everything(tracker):
    """What a second publication must leave as it is."""
    runs = tracker.client.search_runs([tracker.experiment_id])
    return {
        "runs": {
            r.info.run_id: (r.info.status, r.info.end_time, r.data.params, r.data.metrics, r.data.tags) for r in runs
        },
        "models": {m.model_id for m in tracker.client.search_logged_models([tracker.experiment_id])},
        "versions": {(v.name, v.version) for v in tracker.client.search_model_versions()},
    }


def test_one_parent_and_a_child_a_model(run, tracker):
    published = publish(run, tracker)
    assert not published.already
    parent = tracker.client.get_run(published.run_id)
    assert parent.info.run_name == f"synthetic {run.run_id}"
    assert parent.info.status == "FINISHED"
    assert "SYNTHETIC DATA" in parent.data.tags["mlflow.note.content"]
    assert parent.inputs.dataset_inputs[0].dataset.name == "synthetic demo"
    assert "S0001" not in str(parent.inputs.dataset_inputs[0].dataset.to_dictionary())
    assert parent.outputs.model_outputs  # the headline model, one click away
    assert set(published.model_runs) == {"ridge", "xgboost", "loris_routed"}
    for model, run_id in published.model_runs.items():
        child = tracker.client.get_run(run_id)
        assert child.data.tags["mlflow.parentRunId"] == published.run_id
        assert child.data.tags["synthetic"] == "true"
        assert child.info.run_name == model
        assert child.data.params["depth"] == "2"
        assert "auroc_ci_low" in child.data.metrics


def test_artifacts_are_the_folder_plus_readable_twins(run, tracker):
    published = publish(run, tracker)

    def names(path=None):
        return {f.path for f in tracker.client.list_artifacts(published.run_id, path)}

    top = {"report.html", "summary.md", "results.csv", "config.yaml", "manifest.json"}
    assert names() == top | {"figures", "tables", "readable", "evaluation"}
    assert names("figures") == {"figures/roc.png"}
    assert names("readable") == {f"readable/{t}.csv" for t in ("metrics", "subgroups", "comparisons", "checks")}
    root = Path(tracker.client.download_artifacts(published.run_id, "tables"))
    pd.testing.assert_frame_equal(pd.read_parquet(root / "metrics.parquet"), run.table("metrics"))


def test_second_publication_changes_nothing_and_says_so(run, tracker):
    first = publish(run, tracker)
    before = everything(tracker)
    second = publish(run, Tracker(tracker.uri))
    assert second.already
    assert "nothing changed" in second.message()
    assert (second.run_id, second.model_runs, second.model_versions) == (
        first.run_id,
        first.model_runs,
        first.model_versions,
    )
    assert everything(tracker) == before


@pytest.fixture(scope="module")
def once(run_template, store_template, tmp_path_factory):
    """A publication that tests only read."""
    folder = tmp_path_factory.mktemp("once")
    shutil.copyfile(store_template, folder / "mlflow.db")
    run = RunFolder(shutil.copytree(run_template.path, folder / run_template.path.name))
    tracker = Tracker(f"sqlite:///{folder / 'mlflow.db'}")
    return tracker, publish(run, tracker)


def test_the_ui_is_told_of_tables_commit_and_colours(once):
    tracker, published = once
    tags = {i: tracker.client.get_run(i).data.tags for i in (published.run_id, *published.model_runs.values())}
    for run_id, found in tags.items():
        offered = [t["path"] for t in json.loads(found["mlflow.loggedArtifacts"])]
        there = {f.path for f in tracker.client.list_artifacts(run_id, "evaluation")}
        assert set(offered) == there
        assert "evaluation/metrics.json" in there
        assert found["mlflow.source.git.commit"] == found["git_commit"]
        assert "(#/experiments/" in found["mlflow.note.content"]
    colours = [tags[i]["mlflow.runColor"] for i in published.model_runs.values()]
    assert len(set(colours)) == 3
    root = Path(tracker.client.download_artifacts(published.run_id, "evaluation"))
    table = json.loads((root / "tuning.json").read_text())
    assert table["columns"][:2] == ["row", "inner value"]
    assert [None] in [row[1:2] for row in table["data"]]  # a failed trial; NaN would be no JSON


def test_curves_have_their_steps(once):
    tracker, published = once
    for run_id in (published.run_id, published.model_runs["ridge"]):
        points = tracker.client.get_metric_history(run_id, "Curves/ROC: sensitivity by false positive pct")
        assert [p.step for p in points] == list(range(0, 101, 2))


def test_views_are_saved_once_and_made_anew_where_they_are_lost(once):
    tracker, _ = once
    tags = tracker.client.get_experiment(tracker.experiment_id).tags
    expected = view_tags()
    assert {k: v for k, v in tags.items() if "sharedViewState" in k} == expected
    key = next(iter(expected))
    tracker.client.set_experiment_tag(tracker.experiment_id, key, "{}")
    ensure_views(tracker)
    assert tracker.client.get_experiment(tracker.experiment_id).tags[key] == expected[key]
    assert all(len(v) < 5000 for v in expected.values())  # MLflow's limit of an experiment's tag


def test_the_experiments_note_leads_to_the_views_unless_somebody_wrote_another(run, tracker):
    ensure_views(tracker)
    tags = tracker.client.get_experiment(tracker.experiment_id).tags
    assert f"[Runs: the claims](#/experiments/{tracker.experiment_id}/runs?" in tags["mlflow.note.content"]
    tracker.client.set_experiment_tag(tracker.experiment_id, "mlflow.note.content", "ours")
    ensure_views(tracker)
    assert tracker.client.get_experiment(tracker.experiment_id).tags["mlflow.note.content"] == "ours"


class Counting:
    """A client that counts its calls by name."""

    def __init__(self, client):
        self._client, self.calls = client, Counter()

    def __getattr__(self, name):
        method = getattr(self._client, name)

        def counted(*args, **more):
            self.calls[name] += 1
            return method(*args, **more)

        return counted


def test_publishing_is_a_few_calls_whatever_is_logged(run, tracker):
    """A server answers in tens to hundreds of milliseconds: calls, not points, are what publishing costs."""
    assert tracker.experiment_id
    counting = Counting(tracker.client)
    tracker.__dict__["client"] = counting
    publish(run, tracker)
    assert not {"log_metric", "log_param", "log_table", "log_artifact", "log_figure"} & set(counting.calls)
    runs = 4
    # a child: its records, its model's metrics, its last tag; the parent: first tags, records, last tag
    assert counting.calls["log_batch"] <= 3 * runs + 2 + FOLDS
    assert counting.calls["log_artifacts"] == runs
    assert counting.calls["log_inputs"] == runs
    before = counting.calls.total()
    assert before <= 20 * (runs + FOLDS)
    versions = publish(run, tracker).model_versions
    assert counting.calls.total() - before <= 1 + len(versions)  # a search, and whether each version is still there


class Lossy(Counting):
    """A client whose calls that cannot be repeated are, as where the first answer is lost on the way."""

    def __getattr__(self, name):
        method = super().__getattr__(name)

        def repeated(*args, **more):
            if name in ("create_run", "create_logged_model", "create_model_version", "delete_tag"):
                method(*args, **more)
            return method(*args, **more)

        return repeated


def test_what_was_made_twice_since_an_answer_was_lost_is_there_once(run, tracker):
    assert tracker.experiment_id
    tracker.__dict__["client"] = Lossy(tracker.client)
    published = publish(run, tracker)
    assert published.twice == ()
    there = everything(tracker)
    folds = {run_id for run_id, (*_, tags) in there["runs"].items() if tags.get("kind") == "fold"}
    assert len(folds) == FOLDS
    assert set(there["runs"]) == {published.run_id, *published.model_runs.values()} | folds
    assert {state for state, *_ in there["runs"].values()} == {"FINISHED"}
    assert len(there["models"]) == len(published.model_runs)
    assert {f"{name}/{number}" for name, number in there["versions"]} == set(published.model_versions.values())


def test_changed_content_is_another_publication(run, tracker):
    first = publish(run, tracker)
    metrics = run.table("metrics")
    run.write_table("metrics", metrics.assign(n=metrics["n"] + 1))
    run.update_manifest(digests=run.digests())
    assert publish(run, tracker).run_id != first.run_id


@pytest.mark.parametrize("step", ["publish.log", "mlflow.models.link_model", "mlflow.models._register", "Tracker.end"])
def test_a_broken_publication_is_completed(run, tracker, monkeypatch, step):
    """Break some calls of a step, publish until it goes through; the result is as if it had never broken."""
    place, _, where = step.rpartition(".")
    owner = Tracker if place == "Tracker" else importlib.import_module(f"immunocast.tracking.{place}")
    real, calls = getattr(owner, where), []

    def breaks(*args, **more):
        calls.append(1)
        if len(calls) in (2, 5, 9, 14):
            raise ConnectionError("gone")
        return real(*args, **more)

    monkeypatch.setattr(owner, where, breaks)
    attempts = 0
    while True:
        attempts += 1
        assert attempts < 20
        try:
            published = publish(run, tracker)
            break
        except PublishError:
            continue
    monkeypatch.setattr(owner, where, real)
    found = everything(tracker)
    assert len(found["runs"]) == 4 + FOLDS
    assert {status for status, *_ in found["runs"].values()} == {"FINISHED"} or where == "end"
    assert len(found["models"]) == 3
    assert found["versions"] == {("synthetic-immunocast-ridge", 1), ("synthetic-immunocast-xgboost", 1)}
    assert publish(run, tracker).already
    assert publish(run, tracker).model_versions == published.model_versions


@pytest.mark.parametrize("before", [None, "http://127.0.0.1:9"])
def test_the_users_own_address_is_as_it_was(run, tracker, monkeypatch, before):
    import mlflow

    if before:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", before)
    else:
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    publish(run, tracker)
    assert os.environ.get("MLFLOW_TRACKING_URI") == before
    assert mlflow.get_tracking_uri() != tracker.uri


def test_the_pipelines_own_run_is_filled(run, tracker):
    with tracker.pipeline_run(run.run_id) as handle:
        published = publish(run, tracker, handle)
        assert tracker.client.get_run(handle.run_id).info.status == "RUNNING"
    assert published.run_id == handle.run_id
    parent = tracker.client.get_run(handle.run_id)
    assert (parent.info.status, parent.info.run_name) == ("FINISHED", f"synthetic {run.run_id}")
    assert publish(run, tracker).already


def test_where_it_was_published_is_kept_beside_the_run(run, tracker):
    published = publish(run, tracker)
    kept = run.read_json("mlflow.json")
    assert kept["run_id"] == published.run_id
    assert kept["model_versions"] == {
        "ridge": "synthetic-immunocast-ridge/1",
        "xgboost": "synthetic-immunocast-xgboost/1",
    }


def test_an_unfinished_folder_is_told(tmp_path, tracker):
    with pytest.raises(NotFoundError, match="nothing to publish"):
        publish(RunFolder(tmp_path / "nothing"), tracker)


def loaded(tracker, uri):
    """Load as a user does who allows no pickle."""
    import mlflow

    mlflow.set_tracking_uri(tracker.uri)
    try:
        return mlflow.pyfunc.load_model(uri)
    finally:
        mlflow.set_tracking_uri(None)


@pytest.fixture
def no_pickle(monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")


def test_the_registered_model_predicts_what_the_bundle_predicts(run, tracker, no_pickle):
    published = publish(run, tracker)
    cohort = run.table("cohort")
    for model, version in published.model_versions.items():
        pyfunc = loaded(tracker, f"models:/{version}")
        bundle = load_bundle(run.bundle_path(model, "final"))
        inputs = cohort[list(bundle.spec.inputs)]
        answer = pyfunc.predict(inputs)
        assert list(answer) == ["p_response", "abstained"]
        np.testing.assert_array_equal(answer["p_response"], bundle.predict_proba(inputs)[:, 1])
        assert pyfunc.metadata.signature.inputs.required_input_names() == list(bundle.spec.required)


def test_tables_as_users_have_them_are_taken(run, tracker, no_pickle):
    """Missing optional columns, missing values, further columns. (MLflow itself refuses int64 for a double.)"""
    version = publish(run, tracker).model_versions["xgboost"]
    pyfunc = loaded(tracker, f"models:/{version}")
    table = pd.DataFrame(
        {
            "patient": ["a", "b", "c"],
            "tumor_type": ["NSCLC", "Melanoma", None],
            "tmb_mut_mb": [10.0, 3.0, 5.0],
            "albumin_g_dl": [4.0, None, 3.1],
        },
        index=[5, 6, 7],
    )
    answer = pyfunc.predict(table)
    assert list(answer.index) == [5, 6, 7]
    assert answer["abstained"].tolist() == [False, False, True]
    assert answer["p_response"].isna().tolist() == [False, False, True]
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException, match="tumor_type"):
        pyfunc.predict(table.drop(columns="tumor_type"))


def test_no_pickle_is_anywhere_in_the_store(run, tracker):
    publish(run, tracker)
    files = [f for f in (tracker.database.parent / "mlartifacts").rglob("*") if f.is_file()]
    assert any(f.name == "MLmodel" for f in files)
    assert any(f.suffix == ".ubj" for f in files)
    for f in files:
        assert f.suffix not in (".pkl", ".pickle", ".joblib", ".cloudpickle"), f
        contents = [f.read_bytes()]
        if zipfile.is_zipfile(f):
            with zipfile.ZipFile(f) as archive:
                contents += [archive.read(name) for name in archive.namelist()]
        for content in contents:
            # a pickle of protocol 2 or later starts with PROTO and its number; numpy says what it pickled
            assert not (content[:1] == b"\x80" and content[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")), f
            assert not (content[:6] == b"\x93NUMPY" and b"'O'" in content[:200]), f


def test_requirements_are_explicit_and_the_example_is_made_up(run, tracker):
    published = publish(run, tracker)
    root = tracker.database.parent / "mlartifacts"
    for path in root.rglob("requirements.txt"):
        text = path.read_text()
        assert "immunocast==" in text
        assert ("xgboost" in text) == any(path.parent.rglob("*.ubj"))
    cohort = run.table("cohort")
    example = pd.DataFrame(**json.loads(next(root.rglob("input_example.json")).read_text()))
    assert len(example) == 2
    merged = example.merge(cohort, on=[c for c in example if c in cohort], how="inner")
    assert merged.empty
    assert published.model_versions
