from __future__ import annotations

import pandas as pd

from immunocast.tracking.readable import readable_tables


def test_estimate_and_interval_stand_in_one_cell(run):
    table = readable_tables(run)["metrics"]
    row = table.query("metric == 'auroc' and model == 'xgboost' and cohort == 'combined'").iloc[0]
    assert row["estimate (95 % CI)"] == "0.720 (0.670 to 0.770)"
    assert table.iloc[0][["metric", "cohort"]].tolist() == ["auroc", "combined"]
    assert list(table)[:4] == ["metric", "model", "cohort", "estimate (95 % CI)"]
    assert "net_benefit at 0.3" in set(table["metric"])


def test_no_row_is_lost_between_everybody_and_subgroups(run):
    tables = readable_tables(run)
    assert len(tables["metrics"]) + len(tables["subgroups"]) == len(run.table("metrics"))
    assert set(tables["subgroups"]["subgroup"]) == {"tumor_type: NSCLC", "tumor_type: Head & Neck"}


def test_what_was_not_estimated_says_so_with_its_reason(run):
    tables = pd.concat(readable_tables(run)[name] for name in ("metrics", "subgroups"))
    missing = tables[tables["estimate (95 % CI)"] == "not estimated"]
    assert set(missing["note"]) == {"too small"}


def test_comparison_names_both_sides_and_signs_the_difference(run):
    row = readable_tables(run)["comparisons"].query("cohort == 'combined'").iloc[0]
    assert row["comparison"].endswith(" minus loris_routed")
    assert row["difference (95 % CI)"] == "+0.020 (-0.010 to +0.050)"


def test_importance_shows_the_spread_of_ranks(run):
    shared = {
        "scheme": "leave_one_cohort_out",
        "endpoint": "response",
        "subgroup": "all",
        "level": "all",
        "kind": "feature",
        "members": "",
        "n": 120,
        "n_measured": 100,
        "output_scale": "log-odds",
    }
    rows = [
        {"model": "ridge", "repeat": repeat, "feature": name, "group": "dna", "mean_abs_shap": 0.5 / rank}
        | {"ci_low": 0.1, "ci_high": 0.6, "rank": rank, "rank_low": 1, "rank_high": 2, "sign": 0.9}
        | shared
        for repeat in (-1, 0)
        for rank, name in ((1, "tmb_mut_mb"), (2, "nlr"))
    ]
    block = {**rows[0], "kind": "block", "feature": "dna", "members": "tmb_mut_mb", "sign": None}
    run.write_table("importance", pd.DataFrame([*rows, block]))
    table = readable_tables(run)["importance"]
    assert len(table) == 2  # the mean over repeats only, and features only
    assert table.iloc[0][["feature", "rank (95 % CI)", "mean absolute SHAP (95 % CI)"]].tolist() == [
        "tmb_mut_mb",
        "1 (1 to 2)",
        "0.500 (0.100 to 0.600)",
    ]


def test_patient_ids_are_listed_for_synthetic_patients_only(run):
    assert "rows" in readable_tables(run)["checks"]
    run.update_manifest(provenance={**run.manifest()["provenance"], "synthetic": False})
    assert "rows" not in readable_tables(run)["checks"]


def test_medians_that_were_not_reached_and_reference_groups_say_so(run):
    shared = {
        "model": "ridge", "recalibration": "platt", "scheme": "leave_one_cohort_out", "endpoint": "response",
        "cohort_id": "combined", "outcome": "os", "n": 40, "n_events": 12, "logrank_p": 0.0004, "note": "",
    }  # fmt: skip
    rows = [
        {"group": "high", "median_months": None, "ci_low": 20.0, "ci_high": None}
        | {"hazard_ratio": 0.5, "hr_low": 0.3, "hr_high": 0.8},
        {"group": "low", "median_months": 8.0, "ci_low": 6.0, "ci_high": 11.0}
        | {"hazard_ratio": None, "hr_low": None, "hr_high": None},
    ]
    run.write_table("risk_groups", pd.DataFrame([shared | row for row in rows]))
    table = readable_tables(run)["risk_groups"].set_index("probability")
    assert table["median months (95 % CI)"].to_dict() == {"high": "not reached", "low": "8.000 (6.000 to 11.000)"}
    assert table["hazard ratio (95 % CI)"].to_dict() == {"high": "0.500 (0.300 to 0.800)", "low": "reference"}
    assert set(table["model"]) == {"ridge, platt"}
    assert set(table["log-rank p"]) == {"0.0004"}
