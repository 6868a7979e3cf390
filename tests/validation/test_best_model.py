"""Comparisons over folds, all pairs, and what may be said of a best model."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from immunocast.errors import DataError
from immunocast.metrics import auroc, brier, corrected_t, holm
from immunocast.validation.evaluate import evaluate
from immunocast.validation.multiplicity import COMPARISON_FAMILY, adjust, distinguishable

NOISE = {"forest": 0.5, "loris_routed": 0.6, "ridge": 0.5, "rule": 5.0}


def repeated(repeats=3, folds=5, n=300, seed=0):
    """Predictions of repeated K-fold: three models that are alike, and one that hardly knows anything."""
    rng = np.random.default_rng(seed)
    z = rng.normal(-0.6, 1.2, n)
    y = (rng.random(n) < expit(z)).astype(int)
    frames = []
    for repeat in range(repeats):
        fold = rng.permutation(np.arange(n) % folds).astype(str)
        for model, noise in NOISE.items():
            frames.append(
                pd.DataFrame(
                    {
                        "patient_id": [f"p{i:04d}" for i in range(n)],
                        "cohort_id": np.where(np.arange(n) < n // 2, "a", "b"),
                        "person_id": [f"p{i:04d}" for i in range(n)],
                        "model": model,
                        "recalibration": "none",
                        "scheme": "repeated_kfold",
                        "repeat": repeat,
                        "fold": fold,
                        "endpoint": "response",
                        "y_true": y,
                        "p_response": expit(z + rng.normal(0, noise, n)),
                        "abstained": False,
                        "assays": "dna",
                        "in_training": False,
                    }
                )
            )
    return pd.concat(frames, ignore_index=True)


@pytest.fixture(scope="module")
def predictions():
    return repeated()


@pytest.fixture(scope="module")
def comparisons(predictions):
    return evaluate(predictions, n_resamples=200, all_pairs=True).comparisons


def row_of(table, **where):
    keep = np.ones(len(table), dtype=bool)
    for column, value in where.items():
        keep &= (table[column] == value).to_numpy()
    assert keep.sum() == 1, f"{keep.sum()} rows for {where}"
    return table[keep].iloc[0]


def test_the_test_over_folds_is_the_corrected_t(predictions, comparisons):
    values = {"auroc": [], "brier": []}
    for _, part in predictions.groupby(["repeat", "fold"]):
        models = {name: g for name, g in part.groupby("model")}
        found = {"auroc": [], "brier": []}
        for name in ("ridge", "loris_routed"):
            cohorts = [g for _, g in models[name].groupby("cohort_id")]
            pairs = [g.y_true.sum() * (len(g) - g.y_true.sum()) for g in cohorts]
            found["auroc"].append(np.average([auroc(g.y_true, g.p_response) for g in cohorts], weights=pairs))
            found["brier"].append(brier(models[name].y_true, models[name].p_response))
        for metric, both in found.items():
            values[metric].append(both)
    for metric, both in values.items():
        first, second = np.array(both).T
        expected = corrected_t(first, second, 60 / 240)
        row = row_of(comparisons, metric=f"{metric}_by_fold", model="ridge", reference_model="loris_routed")
        for name in ("difference", "ci_low", "ci_high", "p"):
            assert row[name] == pytest.approx(getattr(expected, name), abs=1e-12), (metric, name)
        assert row.ci_method == "corrected_t"
        assert (row.n_common, row.cohort_id, row.note) == (300, "combined", "mean over 15 folds")
    # the paired test stays beside it
    assert row_of(
        comparisons, metric="auroc", model="ridge", reference_model="loris_routed", cohort_id="combined"
    ).ci_method == "delong"  # fmt: skip


@pytest.mark.parametrize(("repeats", "folds"), [(1, 15), (3, 3)])
def test_few_folds_or_one_repeat_give_no_test_over_folds(repeats, folds):
    found = evaluate(repeated(repeats, folds), n_resamples=100).comparisons
    assert not found.metric.str.endswith("by_fold").any()


def test_models_on_other_folds_are_told(predictions):
    frame = predictions.copy()
    moved = frame.model == "ridge"
    frame.loc[moved, "fold"] = frame.fold[moved].map({"0": "1", "1": "0"}).fillna(frame.fold[moved])
    found = evaluate(frame, n_resamples=100).comparisons
    row = row_of(found, metric="auroc_by_fold", model="ridge")
    assert np.isnan(row.p)
    assert "not validated on the same folds" in row.note


def test_all_pairs_are_there_once_each_way(comparisons):
    rows = comparisons[(comparisons.metric == "auroc") & (comparisons.cohort_id == "combined")]
    pairs = set(zip(rows.model, rows.reference_model, strict=True))
    assert len(rows) == len(pairs) == 4 * 3
    for row in rows.itertuples():
        back = row_of(rows, model=row.reference_model, reference_model=row.model)
        assert row.difference == pytest.approx(-back.difference, abs=1e-12)
        assert row.p == pytest.approx(back.p, abs=1e-9)


def test_nobody_is_the_best_of_models_that_are_alike(comparisons):
    for metric in ("auroc", "brier"):
        found = distinguishable(comparisons, metric).set_index("model")
        assert found.told_apart.to_dict() == {"forest": False, "loris_routed": False, "ridge": False, "rule": True}
        assert found.beaten_by["rule"] == "forest, loris_routed, ridge"
        assert (found.n_pairs == 6).all()


def test_the_corrected_p_decides_not_the_order(comparisons):
    rows = comparisons[comparisons.metric == "auroc_by_fold"]
    once = rows[rows.model < rows.reference_model]
    expected = dict(zip(zip(once.model, once.reference_model, strict=True), holm(once.p), strict=True))
    found = distinguishable(comparisons).set_index("model")
    assert found.p_adjusted["rule"] == pytest.approx(min(p for pair, p in expected.items() if "rule" in pair))
    strict = distinguishable(comparisons, alpha=1e-12)
    assert not strict.told_apart.any()


def test_without_folds_the_paired_test_decides(comparisons):
    paired = comparisons[~comparisons.metric.str.endswith("by_fold")]
    found = distinguishable(paired).set_index("model")
    assert found.told_apart["rule"]
    single = paired[(paired.model == "rule") & (paired.reference_model == "loris_routed")]
    assert distinguishable(single).n_pairs.tolist() == [1, 1]


def test_what_was_not_compared_is_refused(comparisons):
    with pytest.raises(DataError, match="no models were compared by calibration_slope"):
        distinguishable(comparisons, "calibration_slope")
    twice = pd.concat([comparisons, comparisons.assign(scheme="other")])
    with pytest.raises(DataError, match="several validation schemes"):
        distinguishable(twice)


def test_recalibrated_versions_are_no_further_models():
    rows = pd.DataFrame(
        {
            "model": ["ridge", "forest", "ridge+platt", "forest+platt"],
            "metric": "auroc",
            "threshold_or_horizon": np.nan,
            "reference_model": "loris_routed",
            "scheme": "s",
            "cohort_id": "combined",
            "subgroup": "all",
            "level": "all",
            "p": [0.02, 0.5, 0.02, 0.5],
        }
    )
    found = adjust(rows, COMPARISON_FAMILY, "models")
    assert found["p_adjusted"].tolist() == pytest.approx([0.04, 0.5, 0.04, 0.5])
    assert set(found["family"]) == {"holm over 2 models"}
