"""Tables of interactions: out of fold, between source features, the same whatever the engine."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from immunocast.cohort.outcomes import make_labels
from immunocast.cohort.synthetic import SyntheticCohort
from immunocast.config import build_models, load_config
from immunocast.engines import JoblibEngine
from immunocast.errors import ConfigError
from immunocast.explain.inputs import ExplainInputs
from immunocast.explain.interaction_tables import interaction_models, interaction_notes, interaction_tables
from immunocast.explain.model_interactions import explain_interactions
from immunocast.explain.out_of_fold import explain_out_of_fold
from immunocast.features.expand import Expansion
from immunocast.features.preprocess import model_frame
from immunocast.models.learner import Learner
from immunocast.store.schemas import conform
from immunocast.validation.cross_predict import cross_predict
from immunocast.validation.splits import RepeatedStratifiedKFold

NAMES = ("ridge", "xgboost", "partial_pooling", "update_xgboost", "forest", "blend", "pdl1_50")
SETTINGS = {"models": ["xgboost", "partial_pooling"], "n_pairs": 3}


@pytest.fixture(scope="module")
def run():
    cohort = SyntheticCohort(n_patients=260, seed=8).load().cohort
    shipped = build_models(
        load_config(
            [
                "models=full",
                "+model@models.update_xgboost=update_xgboost",
                "+model@models.blend=blend",
                "models.xgboost.estimator.n_estimators=20",
                "models.xgboost.estimator.min_child_weight=1",
                "models.update_xgboost.estimator.n_estimators=10",
                "models.update_xgboost.estimator.min_child_weight=1",
                "models.forest.estimator.n_estimators=5",
                "models.blend.parts.forest.estimator.n_estimators=5",
                "models.blend.inner=kfold",
                "models.blend.n_splits=2",
                "models.blend.parts.xgboost.estimator.n_estimators=10",
            ]
        )
    )
    models = {name: shipped[name] for name in NAMES}
    y, scheme = make_labels(cohort).y, RepeatedStratifiedKFold(2, 2)
    result = cross_predict(cohort, y, models, scheme)
    return ExplainInputs(
        cohort, y, scheme, "kfold", "orr", models, result.predictions, lambda m, f: result.bundles[m, f]
    )


@pytest.fixture(scope="module")
def tables(run):
    return interaction_tables(run, SETTINGS, n_resamples=100, seed=3)


def test_tables_conform_and_say_what_the_folds_say(run, tables):
    pairs, values = (conform(name, tables[name]) for name in ("interactions", "interaction_values"))
    assert set(pairs["model"]) == {"xgboost", "partial_pooling"}
    assert (pairs["feature_a"] < pairs["feature_b"]).all()
    assert (pairs["mean_abs_interaction"] > 0).all()
    assert (pairs["ci_low"] <= pairs["mean_abs_interaction"]).all()
    assert (pairs["ci_high"] >= pairs["mean_abs_interaction"]).all()
    assert (pairs["ci_low"] < pairs["ci_high"]).any()
    assert pairs.groupby("model")["share"].sum().between(0.01, 0.99).all()
    for _, own in pairs.groupby("model"):
        assert own["rank"].iloc[0] == 1
        assert own["mean_abs_interaction"].is_monotonic_decreasing
        assert own["n"].unique().tolist() == [
            run.predictions.loc[~run.predictions["abstained"], "patient_id"].nunique()
        ]
    assert values.groupby("model").apply(lambda v: v[["feature_a", "feature_b"]].drop_duplicates().shape[0]).eq(3).all()
    top = pairs[pairs["rank"] <= 3].merge(values, on=["model", "feature_a", "feature_b"])
    by_patient = top["value"].abs().groupby([top["model"], top["rank"], top["patient_id"]]).mean()
    again = by_patient.groupby(level=[0, 1]).mean()
    assert np.allclose(again, pairs[pairs["rank"] <= 3].set_index(["model", "rank"])["mean_abs_interaction"])


def test_main_effects_and_interactions_are_the_shap_values(run, tables):
    """Share is of everything: of mean absolute main effects and pairs together."""
    shap = explain_out_of_fold(run.cohort, run.predictions, run.load_model, ["xgboost"])
    fold = shap[(shap["repeat"] == 0) & (shap["fold"] == shap["fold"].iloc[0])]
    patients = run.cohort.set_index("patient_id", drop=False).loc[fold["patient_id"]]
    found = explain_interactions(
        run.load_model("xgboost", f"r0-{fold['fold'].iloc[0]}"), run.frame("xgboost", patients)
    )
    assert np.allclose(found.values.sum(axis=2), fold[list(found.features)], atol=1e-4)
    assert np.array_equal(found.values, np.swapaxes(found.values, 1, 2))
    own = tables["interactions"].query("model == 'xgboost'")
    a, b = own.loc[own["rank"] == 1, ["feature_a", "feature_b"]].iloc[0]
    values = tables["interaction_values"].query("model == 'xgboost' and feature_a == @a and feature_b == @b")
    values = values[(values["repeat"] == 0) & (values["fold"] == fold["fold"].iloc[0])].set_index("patient_id")["value"]
    one, other = (found.features.index(name) for name in (a, b))
    both = found.values[:, one, other] + found.values[:, other, one]
    assert np.allclose(values.loc[fold["patient_id"]], both), "a pair is whole"
    whole = own["mean_abs_interaction"] / own["share"]
    assert np.allclose(whole, whole.iloc[0])
    assert whole.iloc[0] > own["mean_abs_interaction"].sum()


@pytest.mark.parametrize("model", ["update_xgboost", "forest", "ridge"])
def test_other_models_add_up_too(run, model):
    found = explain_interactions(run.load_model(model, _first(run, model)), run.frame(model, run.table.iloc[:40]))
    between = np.abs(found.values).sum(axis=0) - np.diag(
        np.abs(found.values[:, *np.diag_indices(len(found.features))]).sum(axis=0)
    )
    assert (between.max() > 1e-4) == (model != "ridge")
    assert found.scale == ("probability" if model == "forest" else "log-odds")


def test_products_of_features_interact_as_their_definition_says():
    """Second difference of the expected margin, features independent: all four coalitions of two features."""
    cohort = SyntheticCohort(n_patients=300, seed=6).load().cohort
    y = make_labels(cohort).y
    cohort, y = cohort[y.notna()], y.dropna().to_numpy(dtype=int)
    expand = Expansion(knots=3, by="tumor_type", penalty=2)
    features = {"nlr": {}, "pdl1_tps": {}, "tumor_type": {}}
    model = Learner(LogisticRegression(max_iter=2000), features, impute="mean", explainer="linear", expand=expand)
    X = model_frame(cohort, model.spec.inputs)
    model.fit(X, y)
    Z, coef = model.design_matrix(X), dict(zip(model.expander_.column_names_, model.estimator_.coef_[0], strict=True))
    source, mean = dict(zip(Z.columns, model.sources_, strict=True)), Z.mean()

    def margin(row, there):
        at = {c: row[c] if source[c] in there else mean[c] for c in Z}
        products = model.products_
        return sum(
            coef[c] * ((at[p.left] - p.origin) * at[p.right] * p.weight if (p := products.get(c)) else at[c]) for c in Z
        )

    found = explain_interactions(model, X.iloc[:6])
    place = {name: k for k, name in enumerate(found.features)}
    assert np.abs(found.values[:, place["nlr"], place["tumor_type"]]).max() > 1e-4
    for i in range(6):
        row = Z.iloc[i]
        for a, b in (("nlr", "tumor_type"), ("pdl1_tps", "tumor_type"), ("nlr", "pdl1_tps")):
            both = margin(row, (a, b)) - margin(row, (a,)) - margin(row, (b,)) + margin(row, ())
            assert 2 * found.values[i, place[a], place[b]] == pytest.approx(both, abs=1e-10)


def test_a_blend_mixes_the_interactions_of_its_parts(run):
    parts = {name: run.load_model(name, _first(run, name)) for name in ("ridge", "xgboost")}
    blend = build_models(load_config(["+model@models.blend=blend"]))["blend"]
    blend.parts_, blend.weights_ = parts, {"ridge": 0.25, "xgboost": 0.75}
    X = model_frame(run.table.iloc[:25], blend.spec.inputs, by_cohort=True)
    found, one = explain_interactions(blend, X), explain_interactions(parts["xgboost"], X)
    a, b = (
        found.features.index(one.features[k]) for k in np.unravel_index(_strongest(one.values), one.values.shape[1:])
    )
    strongest = one.values[:, *np.unravel_index(_strongest(one.values), one.values.shape[1:])]
    assert np.abs(strongest).max() > 1e-4
    assert np.allclose(found.values[:, a, b], 0.75 * strongest)


def _first(run, name):
    row = run.predictions.query("model == @name").iloc[0]
    return f"r{row['repeat']}-{row['fold']}"


def _strongest(values):
    between = np.abs(values).mean(axis=0)
    np.fill_diagonal(between, 0.0)
    return int(between.argmax())


def test_neither_engine_nor_the_other_models_matter(run, tables):
    again = interaction_tables(run, SETTINGS, n_resamples=100, seed=3, engine=JoblibEngine(2))
    alone = interaction_tables(run, {**SETTINGS, "models": ["xgboost"]}, n_resamples=100, seed=3)
    for name, table in tables.items():
        pd.testing.assert_frame_equal(again[name], table)
        own = table[table["model"] == "xgboost"].reset_index(drop=True)
        pd.testing.assert_frame_equal(alone[name].reset_index(drop=True), own)


def test_models_without_interactions_are_named(run):
    names = ["ridge", "blend", "pdl1_50", "xgboost"]
    found = interaction_tables(run, {"models": names, "n_pairs": 2}, n_resamples=20)
    assert set(found["interactions"]["model"]) == {"xgboost"}
    said = interaction_notes(run, names, found["interactions"])
    assert [s.split(" has no ")[1].split(":")[0] for s in said] == [
        "interactions",
        "exact interactions",
        "exact interactions",
    ]
    assert "adds its features up" in said[0]
    assert "mixes forest" in said[1]
    assert "published rule" in said[2]


def test_no_models_no_rows(run):
    found = interaction_tables(run, {"models": [], "n_pairs": 2})
    assert all(conform(name, table).empty for name, table in found.items())
    assert interaction_notes(run, [], found["interactions"]) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"models": ["xgb"]}, "names 'xgb', which is not among"),
        ({"n_pairs": 0}, "n_pairs is 0"),
        ({"n_pairs": True}, "is True"),
    ],
)
def test_settings_that_cannot_be_used_are_named(run, change, words):
    with pytest.raises(ConfigError, match=words):
        interaction_tables(run, SETTINGS | change)


def test_another_bundle_is_refused(run):
    folds = sorted(set(run.predictions["fold"]))
    swap = {f"r0-{folds[0]}": f"r0-{folds[1]}"}
    other = SimpleNamespace(
        **{k: getattr(run, k) for k in ("cohort", "models", "predictions", "frame")},
        load_model=lambda model, fold: run.load_model(model, swap.get(fold, fold)),
    )
    with pytest.raises(ArithmeticError, match="misses its stored predictions"):
        interaction_tables(other, SETTINGS, n_resamples=5)


def test_no_choice_means_the_models_that_are_explained_as_xgboost(run):
    assert interaction_models(run, None) == ["xgboost"]
    assert interaction_models(run, ["forest"]) == ["forest"]
    assert interaction_models(run, []) == []
