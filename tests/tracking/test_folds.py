"""The inner search as runs below a model: what they say, that they are made once, and where links lead."""

import json

import pandas as pd
import pytest

from immunocast.tracking import records as rec
from immunocast.tracking.folds import fold_searches
from immunocast.tracking.mlflow import PROCESS, Tracker
from immunocast.tracking.mlflow.tracker import PARENT
from immunocast.tracking.publish import publish


@pytest.fixture
def tracker(store):
    return Tracker(store)


def below(tracker, model_run):
    """The runs below a model's run, oldest first."""
    runs = tracker.client.search_runs(
        [tracker.experiment_id], f"tags.`{PARENT}` = '{model_run}'", order_by=["attributes.start_time"]
    )
    return list(runs)


def by_type(records, kind):
    return [r for r in records if isinstance(r, kind)]


def test_a_search_says_what_was_chosen_and_how_the_fold_came_out(run):
    north, final = fold_searches(run, "ridge")
    assert [s.tags["outer_fold"] for s in (north, final)] == ["north", "final"]
    params = {p.key: p.value for p in by_type(north.records, rec.Param)}
    assert params == {"outer_fold": "north", "n_trials": "3", "chosen_trial": "1", "estimator__C": "0.25"}
    numbers = {m.key: m.value for m in by_type(north.records, rec.Metric) if m.step == 0}
    own = run.table("metrics").query("model == 'ridge' and cohort_id == 'north' and subgroup == 'all'")
    auroc = own.query("metric == 'auroc' and recalibration == 'none'").iloc[0]
    assert numbers["inner_log_loss"] == 0.58
    assert numbers["inner_log_loss_as_configured"] == 0.61
    assert numbers["outer_auroc"] == auroc["estimate"]
    assert numbers["n_events"] == auroc["n_events"]
    steps = [(m.step, m.value) for m in by_type(north.records, rec.Metric) if m.key == "Inner log_loss by trial"]
    assert steps == [(0, 0.61), (1, 0.58)]
    (said,) = by_type(north.records, rec.Description)
    assert said.text.startswith(rec.SYNTHETIC_BANNER)
    assert "3 trials by log_loss on inner folds, 1 of them failed" in said.text
    assert "The patients of north took no part." in said.text
    assert not [m for m in by_type(final.records, rec.Metric) if m.key.startswith("outer_")]
    assert "Nobody is left to judge" in by_type(final.records, rec.Description)[0].text


def test_with_several_repeats_a_fold_has_no_outer_estimate(run):
    table = run.table("tuning")
    table["fold"] = table["fold"].replace("north", "4")
    run.write_table("tuning", pd.concat([table, table[table["fold"] != "final"].assign(repeat=1)]))
    found = list(fold_searches(run, "ridge"))
    assert [s.name for s in found] == [
        "ridge, fold 4, repeat 0", "ridge, fold 4, repeat 1", "ridge, final",
    ]  # fmt: skip
    assert not [m for s in found for m in by_type(s.records, rec.Metric) if m.key.startswith("outer_")]


def test_what_was_not_tuned_has_none(run):
    assert list(fold_searches(run, "xgboost")) == []


def test_they_lie_below_the_model_and_pass_for_nothing_else(run, tracker):
    published = publish(run, tracker)
    found = below(tracker, published.model_runs["ridge"])
    assert [r.info.run_name for r in found] == ["ridge, north", "ridge, final"]
    assert {r.info.status for r in found} == {"FINISHED"}
    for one in found:
        assert one.data.tags["kind"] == "fold"
        assert one.data.tags["synthetic"] == "true"
        assert not {"model", "immunocast.run_id", "publish_key", PROCESS} & set(one.data.tags)
    assert below(tracker, published.model_runs["xgboost"]) == []
    said = tracker.client.get_run(published.model_runs["ridge"]).data.tags["mlflow.note.content"]
    assert f"tags.%60mlflow.parentRunId%60%20%3D%20%27{published.model_runs['ridge']}" in said
    assert all(one.info.run_id in said for one in found), "side by side"
    other = tracker.client.get_run(published.model_runs["xgboost"]).data.tags["mlflow.note.content"]
    assert "Inner search" not in other


def test_more_folds_than_an_address_holds_are_listed():
    from immunocast.tracking.links import Addresses

    ids = tuple(f"{i:032x}" for i in range(61))
    assert "compare-runs" in Addresses("1", "r", "own", folds=ids[:60]).of("folds:COMPARE")
    assert json.dumps(ids[0]) not in Addresses("1", "r", "own", folds=ids).of("folds:COMPARE")
    assert "compareRunsMode=TABLE" in Addresses("1", "r", "own", folds=ids).of("folds:COMPARE")


@pytest.mark.parametrize("broken_at", [1, 2])
def test_a_publication_that_broke_off_makes_none_twice(run, tracker, monkeypatch, broken_at):
    from immunocast.tracking import publish as module

    real, calls = module.log, []

    def breaks(tracker, run_id, records, *more):
        records = list(records)
        if rec.Param("outer_fold", "north") in records or rec.Param("outer_fold", "final") in records:
            calls.append(run_id)
            if len(calls) == broken_at:
                raise OSError("the power is gone")
        return real(tracker, run_id, records, *more)

    monkeypatch.setattr(module, "log", breaks)
    with pytest.raises(Exception, match="power"):
        publish(run, tracker)
    published = publish(run, tracker)
    found = below(tracker, published.model_runs["ridge"])
    assert [r.data.tags["outer_fold"] for r in found] == ["north", "final"]
    assert {r.data.tags["published"] for r in found} == {"complete"}
    assert {r.info.status for r in found} == {"FINISHED"}
    assert len(calls) == 3, "what was whole was not logged again"
