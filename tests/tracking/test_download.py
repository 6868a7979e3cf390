"""A run that only MLflow has becomes a folder again, or says what is missing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from immunocast.cli._fetch import require_known_classes
from immunocast.errors import ConfigError, FetchError, NotFoundError
from immunocast.models.bundle import load_bundle
from immunocast.tracking.mlflow import Tracker
from immunocast.tracking.mlflow.download import fetch_bundle, fetch_run, fetched_from, find_publication
from immunocast.tracking.publish import publish


@pytest.fixture(scope="module")
def place(run_template, store_template, tmp_path_factory):
    """A store with one publication, made once; tests that break it copy it."""
    folder = tmp_path_factory.mktemp("published")
    shutil.copyfile(store_template, folder / "mlflow.db")
    shutil.copytree(run_template.path, folder / run_template.path.name)
    run = type(run_template)(folder / run_template.path.name)
    return folder, run, publish(run, Tracker(f"sqlite:///{folder / 'mlflow.db'}"))


@pytest.fixture
def tracker(place):
    return Tracker(f"sqlite:///{place[0] / 'mlflow.db'}")


@pytest.fixture
def small(run):
    """A run without models: what is published of it takes a moment."""
    run.update_manifest(models={})
    return run


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_fetched_folder_is_the_published_one_without_bundles(place, tracker, tmp_path):
    _, original, published = place
    fetched = fetch_run(tracker, original.run_id, tmp_path / "runs" / original.run_id)
    ours, theirs = files(fetched.path), files(original.path)
    note, _ = ours.pop("mlflow.json"), theirs.pop("mlflow.json")
    assert ours == {name: content for name, content in theirs.items() if not name.startswith("bundles/")}
    assert fetched.run_id == original.run_id
    about = fetched_from(fetched)
    assert about["not_published"] == []
    assert about["model_versions"] == published.model_versions
    assert about["model_runs"] == published.model_runs
    assert about["url"] == published.url
    assert b"fetched" in note
    assert fetched_from(original) is None
    assert [p.name for p in (tmp_path / "runs").iterdir()] == [original.run_id]  # nothing unfinished


def test_ids_of_mlflow_and_beginnings_name_the_same_run(place, tracker):
    _, original, published = place
    for name in (published.run_id, published.model_runs["ridge"], original.run_id[:12]):
        assert find_publication(tracker, name).mlflow_id == published.run_id


def test_a_second_fetch_takes_what_is_there(place, tracker, tmp_path):
    _, original, _ = place
    target = tmp_path / original.run_id
    fetch_run(tracker, original.run_id, target)
    (target / "reproduction.json").write_text("{}\n")
    before = files(target)
    assert files(fetch_run(tracker, original.run_id, target).path) == before
    (tmp_path / "mine").mkdir()
    with pytest.raises(ConfigError, match=r"mine exists already and is not run"):
        fetch_run(tracker, original.run_id, tmp_path / "mine")


def test_final_bundles_come_on_demand_and_predict_the_same(place, tracker, tmp_path):
    _, original, _ = place
    fetched = fetch_run(tracker, original.run_id, tmp_path / original.run_id)
    for model in ("ridge", "xgboost", "loris_routed"):
        folder = fetch_bundle(tracker, fetched, model)
        assert files(folder) == files(original.bundle_path(model, "final"))
    cohort = original.table("cohort")
    ours = load_bundle(fetched.bundle_path("xgboost", "final")).predict_proba(cohort)
    assert (ours == load_bundle(original.bundle_path("xgboost", "final")).predict_proba(cohort)).all()
    with pytest.raises(NotFoundError, match=r"has no model 'forest' in MLflow. It has: loris_routed, ridge, xgboost"):
        fetch_bundle(tracker, fetched, "forest")


def test_patient_tables_that_were_left_out_are_told(small, store, tmp_path):
    tracker = Tracker(store, patient_tables=False)
    publish(small, tracker)
    fetched = fetch_run(tracker, small.run_id, tmp_path / "fetched")
    assert fetched_from(fetched)["not_published"] == [
        "tables/checks.parquet",
        "tables/cohort.parquet",
        "tables/predictions.parquet",
    ]
    pd.testing.assert_frame_equal(fetched.table("metrics"), small.table("metrics"))
    with pytest.raises(NotFoundError, match=r"cohort.*was left out when the run was published"):
        fetched.table("cohort")


def _broken_copy(place, tmp_path):
    """The store copied, so that a test may break it; artifacts stay where the database says."""
    folder, run, published = place
    root = Path(Tracker(f"sqlite:///{folder / 'mlflow.db'}").client.get_run(published.run_id).info.artifact_uri[7:])
    return root, run


@pytest.mark.parametrize(
    ("name", "content", "error", "said"),
    [
        ("tables/metrics.parquet", b"other", FetchError, r"tables/metrics.parquet .* is not what was published"),
        ("tables/metrics.parquet", None, NotFoundError, r"lacks tables/metrics.parquet, which its manifest names"),
        ("tables/strange.parquet", b"new", FetchError, r"the manifest says nothing of it"),
        ("config.yaml", None, NotFoundError, r"lacks config.yaml"),
        ("manifest.json", b"{half", FetchError, r"manifest .* can't be read"),
        ("manifest.json", b"{}", NotFoundError, r"no digests of tables"),
    ],
)
def test_what_is_missing_or_was_changed_is_refused(place, tracker, tmp_path, name, content, error, said):
    root, run = _broken_copy(place, tmp_path)
    before = (root / name).read_bytes() if (root / name).exists() else None
    try:
        (root / name).unlink(missing_ok=True)
        if content is not None:
            (root / name).write_bytes(content)
        with pytest.raises(error, match=said):
            fetch_run(tracker, run.run_id, tmp_path / "runs" / "fetched")
        assert not list((tmp_path / "runs").iterdir())
    finally:
        (root / name).unlink(missing_ok=True)
        if before is not None:
            (root / name).write_bytes(before)


def test_runs_that_are_not_there_are_told_with_those_that_are(place, tracker, store):
    _, original, _ = place
    with pytest.raises(NotFoundError, match=rf"has no run '2025'. The latest are: {original.run_id}"):
        find_publication(tracker, "2025")
    with pytest.raises(NotFoundError, match=r"has no run f{32}"):
        find_publication(tracker, "f" * 32)
    with pytest.raises(NotFoundError, match=r"No run was published there"):
        find_publication(Tracker(store), "2026")
    with pytest.raises(NotFoundError, match=r"is no id of a run"):
        find_publication(tracker, "x' or 'a' = 'a")
    assert [e.name for e in Tracker(store).client.search_experiments()] == ["Default"]  # looking creates nothing


def test_a_half_publication_is_told(small, store):
    tracker = Tracker(store)
    published = publish(small, tracker)
    tracker.client.set_tag(published.run_id, "published", "started")
    with pytest.raises(NotFoundError, match=r"was not published whole.*Publish its folder again"):
        find_publication(tracker, small.run_id)
    tracker.client.delete_run(published.run_id)
    with pytest.raises(NotFoundError, match=r"was deleted .* mlflow runs restore --run-id"):
        find_publication(tracker, published.run_id)


def test_two_contents_of_one_run_are_told_apart(small, store, tmp_path):
    tracker = Tracker(store)
    first = publish(small, tracker)
    metrics = small.table("metrics")
    small.write_table("metrics", metrics.assign(n=metrics["n"] + 1))
    small.update_manifest(digests=small.digests())
    second = publish(small, tracker)
    with pytest.raises(NotFoundError, match=rf"published 2 times .*{second.run_id}"):
        find_publication(tracker, small.run_id)
    fetched = fetch_run(tracker, first.run_id, tmp_path / "first")
    pd.testing.assert_frame_equal(fetched.table("metrics"), metrics)


def test_a_sweep_above_changes_nothing(small, store):
    tracker = Tracker(store)
    published = publish(small, tracker)
    sweep = tracker.start("sweep", {"immunocast.run_id": "sweep"})
    tracker.client.set_tag(published.run_id, "mlflow.parentRunId", sweep.run_id)
    assert find_publication(tracker, small.run_id).mlflow_id == published.run_id


def test_a_download_that_breaks_off_leaves_nothing(place, tracker, tmp_path, monkeypatch):
    _, original, _ = place

    def full(*_args, **_more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tracker.client, "download_artifacts", full)
    with pytest.raises(FetchError, match=r"No space left on device. Nothing half is left behind"):
        fetch_run(tracker, original.run_id, tmp_path / "runs" / original.run_id)
    assert not list((tmp_path / "runs").iterdir())


@pytest.fixture
def call(tmp_path, monkeypatch, typed_command):
    """The command in an empty folder: words -> exit code, output, errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    return typed_command


COUNT = "select count(*) as n from metrics"


def test_commands_fetch_a_run_that_only_mlflow_has_and_keep_it(place, call, tracker, tmp_path):
    _, original, published = place
    code, out, err = call("sql", COUNT, "--run", original.run_id, "--tracking-uri", tracker.uri, "--format", "csv")
    assert (code, out) == (0, f"n\n{len(original.table('metrics'))}\n")
    assert f"fetched from MLflow at {tracker.uri}: runs/{original.run_id}" in err
    # once there, MLflow is not asked again, whichever id names it
    code, out, err = call("sql", COUNT, "--run", published.run_id, "--tracking-uri", "http://127.0.0.1:9")
    assert (code, err) == (0, "")
    original.table("cohort").head(3).to_csv(tmp_path / "new.csv", index=False)
    code, out, err = call("score", "new.csv", "--run", original.run_id[:8])
    assert code == 0, err
    assert "xgboost of run" in out
    assert "3 scored" in out
    assert "Model xgboost fetched from MLflow" in err
    code, out, err = call("explain", "S0001", "--run", original.run_id)
    assert code == 2
    assert "the models of the folds are not published" in err


@pytest.mark.parametrize("target", ["os.system", "sklearn.datasets._base.os.system", "sklearn.base.clone"])
def test_a_fetched_configuration_builds_known_classes_only(place, call, tracker, tmp_path, target):
    folder = fetch_run(tracker, place[1].run_id, tmp_path / "runs" / place[1].run_id)
    (folder.path / "config.yaml").write_text(f"cohort: {{_target_: {target}, command: touch {tmp_path}/here}}\n")
    code, _, err = call("reproduce", "latest")
    assert code == 2
    assert f"which came from MLflow, builds {target}" in err
    assert not (tmp_path / "here").exists()
    usual = "cohort: {_target_: immunocast.cohort.tabular.TabularCohort, x: [{_target_: sklearn.svm.SVC}]}\n"
    (folder.path / "config.yaml").write_text(usual)
    require_known_classes(folder)


def test_the_environments_store_is_asked_and_a_wrong_id_is_told(place, call, tracker, monkeypatch):
    code, _, err = call("sql", COUNT, "--run", "2025")
    assert code == 2
    assert "--tracking-uri, or MLFLOW_TRACKING_URI" in err
    code, _, err = call("sql", COUNT, "--run", "2025", "--tracking-uri", "sqlite:///wrong.db")
    assert code == 2
    assert "There is no MLflow store" in err
    assert not Path("wrong.db").exists()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracker.uri)
    code, _, err = call("sql", COUNT, "--run", "2025")
    assert code == 2
    assert "NotFoundError: runs has no run '2025'. MLflow at sqlite:///" in err
    assert f"The latest are: {place[1].run_id}" in err
    code, _, err = call("tables")  # 'latest' is never looked for elsewhere
    assert code == 2
    assert "There is no finished run" in err
    code, out, _ = call("tables", "metrics", "--run", place[1].run_id)
    assert code == 0
    assert "estimate" in out
