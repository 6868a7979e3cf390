from __future__ import annotations

import pandas as pd
import pytest

from immunocast.tracking import records as rec
from immunocast.tracking.evaluation import tuning_table


def tables(found) -> dict[str, pd.DataFrame]:
    return {r.path: r.frame for r in found if isinstance(r, rec.EvaluationTable)}


@pytest.fixture
def of_run(run):
    return tables(rec.run_records(run))


@pytest.fixture
def of_model(run):
    return tables(rec.model_records(run, "ridge"))


def test_the_first_column_names_a_row_and_the_second_is_compared(of_run, of_model):
    """MLflow's view groups by the first and compares the second column, until somebody chooses others."""
    for found in (of_run, of_model):
        assert {"evaluation/metrics.json", "evaluation/comparisons.json", "evaluation/tuning.json"} <= set(found)
        for frame in found.values():
            first, second, *_ = frame
            assert first == "row"
            assert frame["row"].is_unique
            assert second in ("estimate (95 % CI)", "difference (95 % CI)", "inner value", "probability")


def test_runs_and_models_have_rows_in_common(run, of_run, of_model):
    assert "auroc | ridge | combined" in set(of_run["evaluation/metrics.json"]["row"])
    row = of_model["evaluation/metrics.json"].set_index("row").loc["auroc | combined"]
    assert row["estimate (95 % CI)"] == "0.710 (0.660 to 0.760)"
    other = tables(rec.model_records(run, "xgboost"))["evaluation/metrics.json"]
    assert set(other["row"]) == set(of_model["evaluation/metrics.json"]["row"])
    assert of_model["evaluation/comparisons.json"]["row"].iloc[0] == "auroc | minus loris_routed | combined"
    assert set(of_model["evaluation/subgroups.json"]["subgroup"]) == {
        "tumor_type: NSCLC",
        "tumor_type: Head & Neck",
    }


def test_patients_are_listed_where_none_exists_only(run, of_run, of_model):
    predictions = of_model["evaluation/predictions.json"]
    assert len(predictions) == 120
    assert predictions["row"].str.match(r"^S\d{4} \| (event|no event)$").all()
    assert not any("S0001" in frame.to_csv() for frame in of_run.values())
    run.update_manifest(provenance={**run.manifest()["provenance"], "synthetic": False})
    assert "evaluation/predictions.json" not in tables(rec.model_records(run, "ridge"))


def test_the_inner_search_shows_parameters_scores_and_the_choice(run, of_model):
    table = of_model["evaluation/tuning.json"].set_index("row")
    assert table.loc["north | trial 1", ["inner value", "estimator__C", "chosen"]].tolist() == [0.58, 0.25, "yes"]
    assert pd.isna(table.loc["north | trial 2", "inner value"])
    points = [m for m in rec.model_records(run, "ridge") if isinstance(m, rec.Metric) and m.key.startswith("Inner ")]
    assert {(m.key, m.step, m.value) for m in points} == {
        (f"Inner log_loss by trial/{fold}", trial, value)
        for fold in ("north", "final")
        for trial, value in ((0, 0.61), (1, 0.58))
    }
    assert "evaluation/tuning.json" not in tables(rec.model_records(run, "xgboost"))
    run.table_path("tuning").unlink()
    assert tuning_table(run) is None
