"""Importance over folds, cohorts and refits: planted truth, verdicts, gaps, seeds and workers."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

from immunocast.engines import JoblibEngine
from immunocast.errors import ConfigError
from immunocast.explain.refits import refit_draws
from immunocast.explain.refitting import as_configured
from immunocast.explain.stability import MIN_DRAWS, stability_rows
from immunocast.explain.stability_run import stability_notes, stability_tables
from immunocast.models.learner import Learner
from immunocast.store.schemas import conform
from immunocast.validation.splits import RepeatedStratifiedKFold


def refits(world, n=20, seed=0, **more):
    return refit_draws(world.run, world.shap, world.explained, ["ridge"], n_refits=n, seed=seed, **more)


def table(world, found=None):
    return conform("importance_stability", stability_rows(world.shap, world.table, world.explained, found or {}))


@pytest.fixture(scope="module")
def stable(plain):
    found = table(plain, refits(plain, 40))
    return found[found["source"] == "refits"].set_index("feature")


def test_the_strong_feature_is_stable_and_noise_is_not_told_apart(stable, make_planted):
    strong = stable.loc[make_planted.strong]
    assert (strong["verdict"], strong["rank_low"], strong["rank_high"]) == ("stable", 1, 1)
    assert strong["sign_consistency"] == 1
    noise = stable.loc[list(make_planted.noise)]
    assert (noise["verdict"] == "not distinguishable").sum() >= 4
    assert (noise["sign_consistency"] < 1).any()
    assert noise["note"].str.contains("another direction").any()
    assert (stable["n_draws"] == 40).all()


def test_numbers_of_the_run_itself_are_those_of_the_importance_table(stable, plain):
    own = plain.importance[plain.importance["kind"] == "feature"].set_index("feature").loc[stable.index]
    for column in ("mean_abs_shap", "rank", "sign"):
        assert np.allclose(stable[column], own[column])


def test_a_verdict_needs_draws(plain):
    found = table(plain, refits(plain, MIN_DRAWS - 1))
    rows = found[found["source"] == "refits"]
    assert set(rows["verdict"]) == {"none"}
    assert rows["note"].str.contains(f"fewer than {MIN_DRAWS} draws: no verdict").all()
    assert rows["rank_low"].notna().all(), "the range is shown all the same"
    one = table(plain, refits(plain, 1))
    assert one.loc[one["source"] == "refits", ["mean", "low", "high", "rank_low", "rank_high"]].isna().all().all()


def test_a_refit_on_everybody_once_is_the_run(plain, monkeypatch):
    """With every person drawn once, a draw is the run: same patients, same parameters, same values."""
    from immunocast.explain import refits as module

    monkeypatch.setattr(
        module, "person_weights", lambda p, c, *, n_resamples, seed: np.ones((len(p), n_resamples), int)
    )
    found = refits(plain, 2)["ridge"]
    assert np.allclose(found.mean, plain.explained["ridge"].mean)
    assert np.allclose(found.sign, plain.explained["ridge"].sign)


def test_seed_decides_and_workers_do_not(plain):
    once = refits(plain, 12, seed=4)["ridge"].mean
    assert np.array_equal(once, refits(plain, 12, seed=4, engine=JoblibEngine(2))["ridge"].mean)
    assert not np.allclose(once, refits(plain, 12, seed=5)["ridge"].mean)
    assert np.array_equal(once[:7], refits(plain, 7, seed=4)["ridge"].mean), "more refits change none before"


def test_tuned_parameters_are_taken_by_fold(plain):
    plain.run.tuned["ridge", 0, "A"] = {"estimator__C": 1e-6}
    try:
        assert as_configured(plain.run, "ridge", (0, "A")).estimator.C == 1e-6
        assert as_configured(plain.run, "ridge", (0, "B")).estimator.C == 0.5
        shrunk = refits(plain, 2)["ridge"].mean
    finally:
        plain.run.tuned.clear()
    assert (shrunk[:, 0] < 0.8 * refits(plain, 2)["ridge"].mean[:, 0]).all()


def test_a_draw_of_one_class_is_left_out_and_told(make_planted):
    few = make_planted.patients(150, seed=3)
    few["y"] = 0
    few.loc[few.groupby("cohort_id").head(1).index, "y"] = 1
    world = make_planted.planted(few)
    found = refits(world, 20)
    lost = found["ridge"].n_lost
    assert 0 < lost < 20
    rows = table(world, found).query("source == 'refits'")
    assert (rows["n_draws"] == 20 - lost).all()
    assert rows["note"].str.contains(f"{lost} refits left out").all()


def test_cohorts_and_what_they_did_not_measure(make_planted):
    gap = make_planted.patients()
    in_c = gap["cohort_id"] == "C"
    gap.loc[in_c, make_planted.moderate] = np.nan
    rows = table(make_planted.planted(gap))
    assert set(rows["source"]) == {"cohorts"}, "each fold is a cohort: told once"
    rows = rows.set_index("feature")
    assert rows.loc[make_planted.moderate, "n_draws"] == 2
    assert "patients in C, which do not count" in rows.loc[make_planted.moderate, "note"]
    assert rows.loc[make_planted.strong, "n_draws"] == 3
    assert rows["note"].str.contains("among the features measured there").all()


def test_folds_and_repeats(make_planted):
    world = make_planted.planted(make_planted.patients(), scheme=RepeatedStratifiedKFold(3, 2, 0))
    rows = table(world, refits(world, 4))
    counts = rows.groupby("source")["n_draws"].first()
    assert counts.to_dict() == {"folds": 6, "repeats": 2, "cohorts": 3, "refits": 4}
    repeats = rows[(rows["source"] == "repeats") & (rows["feature"] == make_planted.strong)].iloc[0]
    assert repeats["low"] <= repeats["mean_abs_shap"] <= repeats["high"]
    assert repeats["mean"] == pytest.approx(repeats["mean_abs_shap"])


def test_small_folds_are_no_draws(make_planted):
    rows = table(make_planted.planted(make_planted.patients(90), scheme=RepeatedStratifiedKFold(5, 1, 0)))
    assert "folds" not in set(rows["source"]), "18 patients each"


def test_nothing_asked_for_and_nothing_explained(plain, make_planted):
    off = {
        **make_planted.settings,
        "stability": {"models": ["ridge"], "n_refits": 0},
        "methods": {"models": [], "n_permutations": 3, "drop_column": True},
    }
    found = stability_tables(plain.run, plain.shap, plain.importance, off, seed=0)
    assert set(found["importance_stability"]["source"]) == {"cohorts"}
    assert conform("importance_methods", found["importance_methods"]).empty
    empty = stability_tables(plain.run, conform("shap", pd.DataFrame()), pd.DataFrame(), off, seed=0)
    assert all(conform(name, frame).empty for name, frame in empty.items())


def test_models_that_cannot_be_done(make_planted):
    patients = make_planted.patients()
    features = {make_planted.strong: {}, make_planted.moderate: {}, "cyt_score": {}, "tgfb_score": {}}
    required = (make_planted.strong,)
    models = {
        "ridge": Learner(LogisticRegression(), features, required=required, explainer="linear"),
        "bayes": Learner(GaussianNB(), features, required, label="Bayes"),
    }
    world = make_planted.planted(patients, models)
    settings = {
        **make_planted.settings,
        "stability": {"models": ["ridge", "bayes"], "n_refits": 3},
        "methods": {"models": ["bayes"], "n_permutations": 1, "drop_column": False},
    }
    found = stability_tables(world.run, world.shap, world.importance, settings, seed=0)
    assert set(found["importance_stability"]["model"]) == {"ridge"}
    assert found["importance_methods"].empty
    notes = stability_notes(world.run, world.shap, settings)
    assert any(n.startswith("Bayes is left out of explain.stability") for n in notes)
    assert any(n.startswith("Bayes is left out of explain.methods") for n in notes)
    assert any("a verdict needs 20 refits" in n for n in notes)


def test_bad_settings(plain, make_planted):
    wrong = {**make_planted.settings, "stability": {"models": ["rigde"], "n_refits": 3}}
    with pytest.raises(ConfigError, match=r"explain\.stability\.models names 'rigde'"):
        stability_tables(plain.run, plain.shap, plain.importance, wrong, seed=0)
    with pytest.raises(ConfigError, match="n_refits is -1"):
        refits(plain, -1)
