"""Permutation and drop-column importance: planted truth, a copy that takes a feature's place, nulls, seeds."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.metrics import log_loss as reference

from immunocast.engines import JoblibEngine
from immunocast.errors import ConfigError
from immunocast.explain.losses import drop_column_losses, log_loss, permutation_losses
from immunocast.explain.methods import method_rows, shap_ranks
from immunocast.explain.refits import refit_draws
from immunocast.explain.refitting import refit_without
from immunocast.explain.stability import stability_rows
from immunocast.store.schemas import conform


def labels(world):
    whole = world.explained["ridge"]
    return world.table.set_index("patient_id").loc[whole.patients["patient_id"], "y"].to_numpy()


def permuted(world, n=5, seed=0, **more):
    return permutation_losses(world.run, world.shap, world.explained["ridge"], n_permutations=n, seed=seed, **more)


def dropped(world, **more):
    return drop_column_losses(world.run, world.shap, world.explained["ridge"], **more)


def shap_of(world, stability=None):
    return shap_ranks("ridge", world.importance, pd.DataFrame() if stability is None else stability)


def table(world, losses, stability=None):
    shap = shap_of(world, stability)
    rows = method_rows(world.explained["ridge"], labels(world), losses, shap, n_resamples=200, seed=0)
    return conform("importance_methods", rows).set_index("feature")


@given(st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), min_size=1, max_size=20))
def test_log_loss_is_scikit_learns(pairs):
    y, p = (np.array(column, dtype=float) for column in zip(*pairs, strict=True))
    kept = np.clip(p, 1e-15, 1 - 1e-15)
    assert log_loss(y, p).mean() == pytest.approx(reference(y, kept, labels=[0, 1]), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("losses", [permuted, dropped])
def test_planted_truth(plain, make_planted, losses):
    found = table(plain, losses(plain))
    strong, moderate = found.loc[make_planted.strong], found.loc[make_planted.moderate]
    assert (strong["rank"], strong["rank_low"], strong["rank_high"]) == (1, 1, 1)
    assert moderate["rank"] == 2
    assert strong["ci_low"] > moderate["estimate"] > 0
    noise = found.loc[list(make_planted.noise)]
    assert (noise["estimate"].abs() < 0.02).all()
    assert (noise["ci_low"] <= 0.005).all()
    assert not found.loc[[make_planted.strong, make_planted.moderate], "disagrees"].any()
    assert (found["n"] == 360).all()


def test_a_copy_takes_the_place_of_a_dropped_feature(copied, make_planted):
    """SHAP and permutation give the pair its due; without one of them nothing is lost, and that is told."""
    stability = stability_rows(
        copied.shap,
        copied.table,
        copied.explained,
        refit_draws(copied.run, copied.shap, copied.explained, ["ridge"], n_refits=20, seed=0),
    )
    drop, permute = (table(copied, losses, stability) for losses in (dropped(copied), permuted(copied)))
    pair = [make_planted.strong, make_planted.copy]
    assert set(drop.loc[pair, "shap_rank"]) == {1, 2}
    assert drop.loc[pair, "disagrees"].all()
    assert (drop.loc[pair, "rank_low"] > 2).all()
    assert drop.loc[pair, "note"].str.contains(r"tells the same when it is left out").all()
    assert drop.loc[pair, "note"].str.contains(r"Spearman correlation (?:0\.9|1\.0)").all()
    assert not permute.loc[pair, "disagrees"].any()


def test_a_rank_that_refits_change_contradicts_nothing(plain):
    own = shap_of(plain)
    stability = stability_rows(
        plain.shap,
        plain.table,
        plain.explained,
        refit_draws(plain.run, plain.shap, plain.explained, ["ridge"], n_refits=20, seed=0),
    )
    wide = shap_of(plain, stability)
    assert (wide["rank_low"] <= own["rank_low"]).all()
    assert (wide["rank_high"] >= own["rank_high"]).all()
    assert (wide["rank_high"] - wide["rank_low"] > own["rank_high"] - own["rank_low"]).any()
    one = stability.assign(rank_low=pd.array([pd.NA] * len(stability), dtype="Int64"))
    assert shap_of(plain, one)["rank_low"].equals(own["rank_low"]), "too few draws say nothing"


def test_permutation_is_the_change_of_loss_by_hand(plain, make_planted):
    """A constant column can't be exchanged for anything else; a column of the model can."""
    found = permuted(plain, n=2)
    whole = plain.explained["ridge"]
    fold = "A"
    inside = (whole.patients["cohort_id"] == fold).to_numpy()
    model = plain.run.load_model("ridge", f"r0-{fold}")
    X = plain.run.frame("ridge", whole.patients[inside])
    y = labels(plain)[inside]
    j = whole.features.index(make_planted.strong)
    before = log_loss(y, model.predict_proba(X)[:, 1])
    # every exchange among m patients: the mean over all values but the own is what permutations estimate
    every = np.mean(
        [log_loss(y, model.predict_proba(X.assign(**{make_planted.strong: v}))[:, 1]) for v in X[make_planted.strong]],
        axis=0,
    )
    many = permuted(plain, n=100)
    assert many.increase[inside, j].mean() == pytest.approx((every - before).mean(), rel=0.05)
    assert found.increase.shape == (360, len(whole.features))


def test_gaps_move_with_the_values(make_planted):
    """A feature known by its gaps alone: exchanging values has to exchange the gaps as well."""
    table_ = make_planted.patients()
    table_[make_planted.moderate] = np.where(table_["y"] == 1, 1.0, np.nan)
    world = make_planted.planted(table_)
    world.run.models["ridge"].features[make_planted.moderate] = {"indicator": True}
    world = make_planted.planted(table_, {"ridge": clone(world.run.models["ridge"])})
    found = table(world, permuted(world))
    assert found.loc[make_planted.moderate, "rank"] == 1
    assert found.loc[make_planted.moderate, "ci_low"] > 0.5


def test_without_a_feature_is_the_model_that_never_had_it(plain, make_planted):
    """Also for the one that the model requires."""
    run, ridge = plain.run, plain.run.models["ridge"]
    X = run.frame("ridge", run.table)
    train = run.splits[0, "A"].train
    for gone in (make_planted.moderate, make_planted.strong):
        (fitted,), blank = refit_without(run, "ridge", gone, [(0, "A")], X)
        kept = {f: how for f, how in ridge.features.items() if f != gone}
        other = clone(ridge).set_params(features=kept, required=())
        weights = np.zeros((len(X), 1), dtype=int)
        weights[train] = 1
        (other,) = other.fit_many(X[list(kept)], run.labels, weights)
        ours = fitted.predict_proba(blank)[:, 1]
        assert np.allclose(ours, other.predict_proba(X[list(kept)])[:, 1], atol=1e-9)
    assert plain.run.models["ridge"].required == (make_planted.strong,), "the run's own model stays"


def test_a_model_of_one_feature_has_no_drop_column(make_planted):
    world = make_planted.planted(make_planted.patients()[["patient_id", "cohort_id", "person_id", "y", "fcna"]])
    found = table(world, dropped(world))
    assert found[["estimate", "ci_low", "rank", "rank_low"]].isna().all().all()
    assert found["note"].str.startswith("not fitted without it").all()
    assert not found["disagrees"].any()


def test_nine_events_have_no_estimate(make_planted):
    few = make_planted.patients(120)
    few["y"] = 0
    few.loc[few.index[:9], "y"] = 1
    world = make_planted.planted(few)
    found = table(world, permuted(world, n=1))
    assert found[["estimate", "ci_low", "ci_high", "rank", "rank_low"]].isna().all().all()
    assert set(found["note"]) == {"too small"}
    few.loc[few.index[9], "y"] = 1
    world = make_planted.planted(few)
    assert table(world, permuted(world, n=1))["estimate"].notna().all()


def test_seeds_and_workers(plain):
    once = permuted(plain, n=2, seed=3).increase
    assert np.array_equal(once, permuted(plain, n=2, seed=3, engine=JoblibEngine(2)).increase)
    assert not np.allclose(once, permuted(plain, n=2, seed=4).increase)
    assert np.array_equal(dropped(plain).increase, dropped(plain, engine=JoblibEngine(2)).increase)


def test_a_meeting_of_intervals_is_no_disagreement(plain):
    shap = shap_of(plain)
    losses = permuted(plain, n=1)
    own = table(plain, losses)
    feature = own.index[0]
    for low, high, apart in ((own.loc[feature, "rank_high"], 8, False), (own.loc[feature, "rank_high"] + 1, 8, True)):
        shap.loc[feature, ["rank_low", "rank_high"]] = (int(low), int(high))
        found = method_rows(plain.explained["ridge"], labels(plain), losses, shap, n_resamples=200, seed=0)
        found = found.set_index("feature")
        assert found.loc[feature, "disagrees"] == apart
        assert bool(found.loc[feature, "note"]) == apart


def test_the_resampling_unit_is_the_person(plain):
    twice = pd.concat([plain.table, plain.table.assign(patient_id=plain.table["patient_id"] + "x")], ignore_index=True)
    from immunocast.explain.per_patient import per_patient

    shap = pd.concat([plain.shap, plain.shap.assign(patient_id=plain.shap["patient_id"] + "x")], ignore_index=True)
    both = per_patient(shap, twice)["ridge"]
    losses = permuted(plain, n=1)
    at = pd.Index(plain.explained["ridge"].patients["patient_id"])
    rows = at.get_indexer(both.patients["patient_id"].str.removesuffix("x"))
    doubled = type(losses)(losses.method, losses.increase[rows], losses.n_draws, {})
    y = labels(plain)
    once = method_rows(plain.explained["ridge"], y, losses, shap_of(plain), n_resamples=200, seed=0)
    found = method_rows(both, y[rows], doubled, shap_of(plain), n_resamples=200, seed=0)
    assert np.allclose(found[["estimate", "ci_low", "ci_high"]], once[["estimate", "ci_low", "ci_high"]])


def test_no_permutations_is_no_number_of_permutations(plain):
    with pytest.raises(ConfigError, match="n_permutations is 0"):
        permuted(plain, n=0)
