from __future__ import annotations

import math
import re

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from immunocast.cohort.vocabulary import FEATURES
from immunocast.errors import NotFoundError
from immunocast.models.spec import ModelSpec
from immunocast.store.runfolder import RunFolder
from immunocast.tracking import records as rec
from immunocast.tracking.describe import example_inputs


def by_type(found, kind):
    return [r for r in found if isinstance(r, kind)]


def test_headline_and_comparison_come_first(run):
    keys = [m.key for m in by_type(rec.run_records(run), rec.Metric)]
    assert keys[:6] == [
        "auroc",
        "auroc_ci_low",
        "auroc_ci_high",
        "auroc_minus_loris_routed",
        "auroc_minus_loris_routed_ci_low",
        "auroc_minus_loris_routed_ci_high",
    ]
    assert "auroc/north" in keys
    assert "brier/north" not in keys  # the parent stays short; children hold everything


def test_params_are_those_of_the_constructor(run):
    from immunocast.models.bundle import load_bundle

    params = rec.flat_params(load_bundle(run.bundle_path("ridge", "final")))
    assert params["estimator__C"] == 1.0
    assert params["required"] == "tumor_type"
    assert not {"label", "estimator", "features"} & set(params)


def test_values_are_those_of_the_headline_model(run):
    metrics = {m.key: m.value for m in by_type(rec.run_records(run), rec.Metric)}
    assert metrics["auroc"] == pytest.approx(0.72)  # xgboost is the third model of the fixture
    assert metrics["auroc_minus_loris_routed"] == pytest.approx(0.02)
    assert metrics["n"] == 120


def test_children_hold_what_is_compared_and_no_null(run):
    metrics = [m for m in by_type(rec.model_records(run, "ridge"), rec.Metric) if m.key[0].islower()]
    keys = {m.key for m in metrics}
    assert len(keys) == len(metrics)
    assert all(math.isfinite(m.value) for m in metrics)
    table = run.table("metrics").query("model == 'ridge' and estimate.notna()")
    everybody = table["subgroup"] == "all"
    by_subgroup = ~everybody & (table["metric"] == "auroc") & (table["cohort_id"] == "combined")
    estimates = [k for k in keys if not k.endswith(("_ci_low", "_ci_high")) and "_minus_" not in k]
    assert len(estimates) == everybody.sum() + by_subgroup.sum() + 3  # n, n_events, n_abstained
    assert {"brier/north", "auroc_by_tumor_type/NSCLC", "net_benefit_at_0.3", "auroc/pooled"} <= keys
    assert "brier_by_tumor_type/NSCLC" not in keys  # hundreds of charts: the table of subgroups holds them


def test_thresholds_are_logged_for_everybody_only(run):
    metrics = run.table("metrics")
    more = metrics[metrics["metric"] == "net_benefit"].assign(cohort_id="north")
    run.write_table("metrics", pd.concat([metrics, more]))
    keys = {m.key for m in by_type(rec.model_records(run, "ridge"), rec.Metric)}
    assert "net_benefit_at_0.3" in keys
    assert "net_benefit_at_0.3/north" not in keys


def test_a_run_sums_up_its_models_for_a_comparison_of_runs(run):
    found = {m.key: m.value for m in by_type(rec.run_records(run), rec.Metric)}
    auroc = run.table("metrics").query("metric == 'auroc' and cohort_id == 'combined' and subgroup == 'all'")
    for row in auroc.itertuples():
        assert found[f"model_auroc/{row.model}"] == pytest.approx(row.estimate)
    assert (found["n_warnings"], found["n_errors"]) == (1, 0)


def test_a_run_is_compared_with_every_published_model_but_no_learned_one(run):
    rows = run.table("comparisons")
    mine = rows[(rows["model"] == "xgboost") & (rows["cohort_id"] == "combined")]
    more = [mine.assign(reference_model=name, difference=0.1) for name in ("tmb_10", "ridge")]
    run.write_table("comparisons", pd.concat([rows, *more]))
    keys = [m.key for m in by_type(rec.run_records(run), rec.Metric)]
    assert "auroc_minus_tmb_10" in keys
    assert keys.index("auroc_minus_loris_routed") < keys.index("auroc_minus_tmb_10")
    assert not [k for k in keys if "minus_ridge" in k]


def test_tags_say_what_runs_are_searched_by(run):
    common = {
        "synthetic": "true", "cohort": "demo", "endpoint": "response", "validation": "leave_one_cohort_out",
        "data_digest": "ab" * 6, "git_commit": "c0ffee" * 6 + "c0ff", "dirty": "false", "immunocast.run_id": run.run_id,
    }  # fmt: skip
    parent = {t.key: t.value for t in by_type(rec.run_records(run), rec.Tag)}
    child = {t.key: t.value for t in by_type(rec.model_records(run, "ridge"), rec.Tag)}
    assert parent == common | {"kind": "pipeline", "against_reference": "not distinguishable"}
    assert child == common | {"kind": "learned", "model": "ridge"}
    assert {t.key: t.value for t in by_type(rec.model_records(run, "loris_routed"), rec.Tag)}["kind"] == "published"


def test_what_a_run_does_not_tell_is_unknown(run):
    manifest = {k: v for k, v in run.read_json("manifest.json").items() if k not in ("code", "provenance", "flow")}
    run.write_json("manifest.json", manifest)
    tags = {t.key: t.value for t in by_type(rec.run_records(run), rec.Tag)}
    assert {tags[k] for k in ("git_commit", "dirty", "data_digest", "cohort")} == {"unknown"}


@pytest.mark.parametrize(("low", "high", "said"), [(0.01, 0.05, "better"), (-0.05, -0.01, "worse"), (None, None, None)])
def test_the_verdict_is_the_intervals(run, low, high, said):
    run.write_table("comparisons", run.table("comparisons").assign(ci_low=low, ci_high=high))
    tags = {t.key: t.value for t in by_type(rec.run_records(run), rec.Tag)}
    assert tags.get("against_reference") == said


def test_reference_has_no_comparison_with_itself(run):
    assert not [m for m in by_type(rec.model_records(run, "loris_routed"), rec.Metric) if "_minus_" in m.key]


def test_params_are_few_and_flat(run):
    params = {p.key: p.value for p in by_type(rec.run_records(run), rec.Param)}
    assert params["cohort"] == "demo"
    assert params["cohort_digest"] == "abababababab"
    assert params["n_patients"] == "120"
    assert params["headline_model"] == "xgboost"
    assert params["settings.seed"] == "7"
    assert len([key for key in params if not key.startswith("settings.")]) <= 13


def test_only_learners_are_registered(run):
    named = {m: by_type(rec.model_records(run, m), rec.Model)[0].registered_name for m in ("ridge", "loris_routed")}
    assert named == {"ridge": "synthetic-immunocast-ridge", "loris_routed": None}


def test_synthetic_is_said_everywhere(run):
    for found in (list(rec.run_records(run)), list(rec.model_records(run, "ridge"))):
        assert rec.Tag("synthetic", "true") in found
        assert by_type(found, rec.Description)[0].text.startswith("**SYNTHETIC DATA")
    assert by_type(rec.run_records(run), rec.Dataset)[0].name == "synthetic demo"
    assert rec.display_name(run, "synthetic_tiny") == "synthetic_tiny"  # once is enough


def test_real_cohort_has_no_banner_and_no_patient_ids_in_readable_tables(run):
    manifest = run.manifest()
    run.update_manifest(provenance={**manifest["provenance"], "synthetic": False})
    found = list(rec.run_records(run))
    assert rec.Tag("synthetic", "false") in found
    assert "SYNTHETIC" not in by_type(found, rec.Description)[0].text
    found += list(rec.model_records(run, "ridge"))
    for table in by_type(found, rec.ReadableTable) + by_type(found, rec.EvaluationTable):
        assert not re.search(r"\bS\d{4}\b", table.frame.to_csv()), table.path
    assert by_type(rec.model_records(run, "ridge"), rec.Model)[0].registered_name == "immunocast-ridge"


def test_patient_tables_can_be_left_out(run):
    def tables(**options):
        return {a.path for a in by_type(rec.run_records(run, **options), rec.Artifact) if "tables/" in a.path}

    assert {"tables/cohort.parquet", "tables/predictions.parquet"} <= tables()
    left_out = {"tables/checks.parquet", "tables/cohort.parquet", "tables/predictions.parquet"}
    assert tables() - tables(patient_tables=False) == left_out


def test_dataset_holds_counts_but_no_rows(run):
    dataset = by_type(rec.run_records(run), rec.Dataset)[0]
    assert dataset.n_rows == sum(dataset.n_by_cohort.values()) == 120
    assert dataset.events_by_cohort == {"north": 31, "south": 29}
    assert "S0001" not in repr(dataset)


def test_description_of_a_model_gives_interval_and_comparison(run):
    text = by_type(rec.model_records(run, "xgboost"), rec.Description)[0].text
    assert "AUROC 0.720 (95 % CI 0.670 to 0.770), 120 patients, 60 responders" in text
    assert "AUROC minus loris_routed: +0.020 (95 % CI -0.010 to +0.050)" in text


def test_a_model_without_bundle_is_described_but_not_logged(run):
    import shutil

    shutil.rmtree(run.bundle_path("ridge", "final"))
    assert not by_type(rec.model_records(run, "ridge"), rec.Model)


def test_unknown_model_and_unfinished_run_are_told(run, tmp_path):
    with pytest.raises(NotFoundError, match=r"no model 'nobody'.*ridge"):
        list(rec.model_records(run, "nobody"))
    with pytest.raises(NotFoundError, match=r"manifest\.json"):
        list(rec.run_records(RunFolder(tmp_path / "empty")))


@example(level="0", cohort=".", threshold=None)
@given(
    level=st.text(min_size=1, max_size=30),
    cohort=st.text(min_size=1, max_size=30),
    threshold=st.none() | st.floats(0, 1),
)
@settings(max_examples=60, deadline=None)
def test_any_name_from_data_makes_a_key_that_mlflow_takes(level, cohort, threshold):
    from mlflow.utils.validation import _validate_metric_name

    for subgroup in ("all", "site_id"):
        key = rec.metric_key("auroc", cohort_id=cohort, subgroup=subgroup, level=level, threshold=threshold)
        _validate_metric_name(key)
        assert key.count("/") <= 1


def test_example_is_made_up_for_every_feature_of_the_vocabulary():
    frame = example_inputs(ModelSpec(required=FEATURES[:2], optional=FEATURES[2:]))
    assert list(frame) == list(FEATURES)
    assert frame.iloc[0].notna().all()
    assert frame.iloc[1, 2:].isna().all()
    assert {str(t) for t in frame.dtypes} <= {"float64", "str"}
    assert pd.api.types.is_string_dtype(frame["tumor_type"].dtype)
