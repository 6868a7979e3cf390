"""From a cohort table to a design matrix: nothing but features, everything fitted in the fold."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from immunocast.cohort.vocabulary import VOCABULARY
from immunocast.errors import ConfigError, DataError
from immunocast.features.preprocess import Preprocessor, check_features, model_frame

FEATURES = {
    "nlr": {"transform": "log2", "clip": [0.5, 25]},
    "tumor_type": {},
    "tmb_mut_mb": {"transform": "log2p1", "clip": [0, 50]},
    "prior_systemic_therapy": None,
    "sex": {},
}


def frame(n=40, seed=0):
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "nlr": np.where(rng.random(n) < 0.2, np.nan, rng.lognormal(1.5, 0.7, n)),
            "tmb_mut_mb": rng.lognormal(1.5, 1, n),
            "prior_systemic_therapy": pd.array(rng.integers(0, 2, n), dtype="Int64"),
            "tumor_type": pd.Series(rng.choice(["NSCLC", "Renal"], n), dtype="str"),
            "sex": pd.Series(rng.choice(["female", "male", None], n), dtype="str"),
        }
    )
    return model_frame(table, list(FEATURES))


@pytest.mark.parametrize("name", [c for c, column in VOCABULARY.items() if column.role != "feature"])
def test_outcomes_keys_and_design_never_reach_a_model(name):
    with pytest.raises(ConfigError, match=name):
        model_frame(pd.DataFrame({name: []}), [name])


@pytest.mark.parametrize("name", ["p_response", "effect_tmb_mut_mb", "latent_nlr", "nlr_measured", "y_true"])
def test_truth_and_flags_never_reach_a_model(name):
    with pytest.raises(ConfigError, match="not in the vocabulary"):
        model_frame(pd.DataFrame({name: [1.0]}), [name])


def test_model_frame_types_and_absent_columns():
    table = pd.DataFrame({"ecog": pd.array([1, None], dtype="Int64"), "sex": pd.Series(["male", None], dtype="str")})
    X = model_frame(table, ["ecog", "nlr", "sex", "stage"])
    assert X.columns.tolist() == ["ecog", "nlr", "sex", "stage"]
    assert X["ecog"].dtype == X["nlr"].dtype == "float64"
    assert X["nlr"].isna().all()
    assert X["stage"].isna().all()
    assert X["sex"].isna().tolist() == [False, True]
    assert table["ecog"].dtype == "Int64", "the caller's table stays as it is"


def test_infinite_values_are_refused_by_name():
    with pytest.raises(DataError, match=r"gep_score.*infinite"):
        model_frame(pd.DataFrame({"gep_score": [1.0, -np.inf]}), ["gep_score"])


def test_values_by_hand():
    X = (
        frame()
        .iloc[:0]
        .reindex(range(3))
        .assign(
            nlr=[0.1, 8.0, np.nan],
            tmb_mut_mb=[0.0, 7.0, 500.0],
            prior_systemic_therapy=[0.0, 1.0, np.nan],
            tumor_type=["NSCLC", "NSCLC", "Renal"],
            sex=["male", "female", "male"],
        )
    )
    pre = Preprocessor(FEATURES, scale=False, min_category_count=2).fit(X)
    Z = pre.transform(X)
    # clip .5..25 then log2; clip 0..50 then log2(x + 1); the median replaces what is missing
    assert np.allclose(Z["nlr"], [-1, 3, 1])
    assert np.allclose(Z["tmb_mut_mb"], [0, 3, np.log2(51)])
    assert np.allclose(Z["prior_systemic_therapy"], [0, 1, 0.5])
    assert Z["tumor_type=NSCLC"].tolist() == [1, 1, 0]
    assert "tumor_type=Renal" not in Z, "rarer than min_category_count"
    assert Z["sex=male"].tolist() == [1, 0, 1]
    scaled = Preprocessor(FEATURES, min_category_count=2).fit(X).transform(X)
    for name in ("nlr", "tmb_mut_mb", "prior_systemic_therapy"):
        assert scaled[name].mean() == pytest.approx(0, abs=1e-12)
        assert scaled[name].std(ddof=0) == pytest.approx(1)
    assert scaled["tumor_type=NSCLC"].tolist() == [1, 1, 0], "one-hot columns are not scaled"


def test_fitted_on_the_training_fold_only():
    train, test = frame(seed=1), frame(seed=2)
    pre = Preprocessor(FEATURES).fit(train)
    before = json.dumps(pre.state())
    pre.transform(test.assign(nlr=100.0, tumor_type="Ovarian"))
    assert json.dumps(pre.state()) == before
    filled = pre.transform(test.assign(nlr=np.nan))["nlr"]
    assert np.allclose(filled, (pre.median_["nlr"] - pre.mean_["nlr"]) / pre.std_["nlr"])


def test_unseen_rare_and_missing_categories_are_none_of_the_common_ones():
    pre = Preprocessor(FEATURES).fit(frame())
    Z = pre.transform(frame().assign(tumor_type=["Ovarian", None] * 20))
    assert (Z[[c for c in Z if c.startswith("tumor_type=")]] == 0).all(axis=None)


def test_a_feature_without_any_value_is_dropped():
    X = frame().assign(nlr=np.nan, sex=None)
    pre = Preprocessor(FEATURES).fit(X)
    assert pre.dropped_ == ["nlr", "sex"]
    assert not [c for c in pre.transform(frame()) if c.startswith(("nlr", "sex"))]
    assert len(pre.source_) == len(pre.column_names_) == pre.transform(frame()).shape[1]


@pytest.mark.parametrize(("value", "n"), [(3.8, 37), (6.2, 1237), (0.0, 20), (1e-8, 33), (13.7, 5)])
def test_a_constant_column_stays_on_its_own_scale(value, n):
    """The computed deviation of a constant is rounding error: dividing by it would give 1e14."""
    pre = Preprocessor({"albumin_g_dl": {}}).fit(pd.DataFrame({"albumin_g_dl": [value] * n}))
    assert pre.std_["albumin_g_dl"] == 1
    assert abs(pre.transform(pd.DataFrame({"albumin_g_dl": [value + 0.3]})).iloc[0, 0] - 0.3) < 1e-9


def test_missing_values_stay_with_impute_none():
    X = frame()
    Z = Preprocessor(FEATURES, impute="none", min_category_count=3).fit(X).transform(X)
    assert np.array_equal(Z["nlr"].isna(), X["nlr"].isna())
    known = Z["nlr"].dropna()
    assert known.mean() == pytest.approx(0, abs=1e-12)


def test_a_gap_that_training_did_not_know_takes_the_median_also_with_impute_none():
    """An estimator cannot have learned where to send it: boosters send it anywhere."""
    X = frame()
    assert X["tmb_mut_mb"].notna().all()
    few = X["nlr"].isna().sum()
    pre = Preprocessor(FEATURES, impute="none", scale=False, min_category_count=few + 1).fit(X)
    gone = X.assign(tmb_mut_mb=np.nan, nlr=np.nan)
    assert pre.transform(gone)["tmb_mut_mb"].unique() == pre.median_["tmb_mut_mb"]
    assert pre.transform(gone)["nlr"].unique() == pre.median_["nlr"], "too few gaps to learn from"
    assert pre.transform(X).notna().all(axis=None)
    assert Preprocessor(FEATURES, impute="none", min_category_count=few).fit(X).transform(gone)["nlr"].isna().all()


def test_the_mean_patient_stands_at_the_mean_of_every_column():
    X = frame(n=200)
    pre = Preprocessor(FEATURES, impute="mean", min_category_count=1).fit(X)
    nobody = X.head(1).assign(**{c: np.nan if X[c].dtype == "float64" else None for c in X})
    Z = pre.transform(X)
    measured = {c: X[c.split("=")[0]].notna().to_numpy() for c in Z}
    for column, value in pre.transform(nobody).iloc[0].items():
        assert value == pytest.approx(Z.loc[measured[column], column].mean(), abs=1e-12), column
    assert pre.transform(nobody)[pre.numeric_].abs().max(axis=None) == 0


def test_an_indicator_tells_where_a_feature_is_missing():
    X = frame(n=100)
    features = {
        **FEATURES,
        "nlr": {**FEATURES["nlr"], "indicator": True},
        "sex": {"indicator": True},
        "tmb_mut_mb": {"indicator": True},
    }
    for impute in ("median", "mean", "none"):
        pre = Preprocessor(features, impute=impute).fit(X)
        Z = pre.transform(X)
        assert np.array_equal(Z["nlr=missing"] == 1, X["nlr"].isna())
        assert np.array_equal(Z["sex=missing"] == 1, X["sex"].isna())
        assert dict(zip(pre.column_names_, pre.source_, strict=True))["nlr=missing"] == "nlr"
        assert "tmb_mut_mb=missing" not in Z, "never missing in training: nothing to learn from"
        back = Preprocessor(features, impute=impute).restore(json.loads(json.dumps(pre.state())))
        pd.testing.assert_frame_equal(back.transform(X), Z)
    rare = X.assign(nlr=X["nlr"].fillna(3.0).where(X.index > 4))
    assert "nlr=missing" not in Preprocessor(features).fit(rare).column_names_
    assert "nlr=missing" not in Preprocessor(features).fit(X.assign(nlr=np.nan)).column_names_


def test_a_state_from_before_there_were_means_reads_as_it_did():
    X = frame()
    for impute in ("median", "none"):
        pre = Preprocessor(FEATURES, impute=impute, min_category_count=1).fit(X)
        old = {k: v for k, v in pre.state().items() if k not in ("fill_", "shares_", "cohort_scale_")}
        pd.testing.assert_frame_equal(Preprocessor(FEATURES, impute=impute).restore(old).transform(X), pre.transform(X))


def test_restore_gives_the_same_matrix_and_column_order():
    pre = Preprocessor(FEATURES).fit(frame())
    # keys sorted on the way: the order of the columns must not come from JSON
    state = json.loads(json.dumps(pre.state(), sort_keys=True))
    back = Preprocessor(json.loads(json.dumps(FEATURES, sort_keys=True))).restore(state)
    pd.testing.assert_frame_equal(back.transform(frame(seed=5)), pre.transform(frame(seed=5)))
    assert back.state() == pre.state()
    assert back.get_feature_names_out().tolist() == pre.column_names_


@pytest.mark.parametrize(
    ("features", "words"),
    [
        ({}, "empty"),
        (["nlr"], "no mapping"),
        ({"nlrr": {}}, "features.nlrr: not a feature"),
        ({"responder": {}}, "features.responder: not a feature"),
        ({"nlr": 3}, "features.nlr is 3"),
        ({"nlr": {"scale": 1}}, "features.nlr.scale: unknown"),
        ({"nlr": {"transform": "sqrt"}}, "features.nlr.transform is 'sqrt'"),
        ({"nlr": {"clip": [3]}}, "features.nlr.clip"),
        ({"nlr": {"clip": 3}}, "features.nlr.clip"),
        ({"nlr": {"clip": [3, 3]}}, "features.nlr.clip"),
        ({"nlr": {"clip": ["a", "b"]}}, "features.nlr.clip"),
        ({"nlr": {"transform": "log2"}}, "log2 needs a clip"),
        ({"nlr": {"transform": "log2", "clip": [0, 25]}}, "log2 needs a clip"),
        ({"gep_score": {"transform": "log2p1"}}, "log2p1 needs a clip"),
        ({"gep_score": {"transform": "log2p1", "clip": [-1, 3]}}, "log2p1 needs a clip"),
        ({"sex": {"clip": [0, 1]}}, "a category takes no clip"),
        ({"nlr": {"indicator": 1}}, "indicator is 1"),
    ],
)
def test_feature_tables_that_cannot_be_used(features, words):
    with pytest.raises(ConfigError, match=words):
        check_features(features)


def test_feature_tables_that_can():
    check_features({"nlr": {"transform": "log2p1"}, "age_years": {"clip": [None, 85]}, "gep_score": None})


values = st.one_of(st.none(), st.floats(0, 300))


@settings(max_examples=60, deadline=None)
@given(
    train=st.lists(
        st.tuples(values, values, st.sampled_from(["NSCLC", "Renal", "SCLC", None])), min_size=1, max_size=30
    ),
    test=st.lists(st.tuples(values, values, st.sampled_from(["NSCLC", "Ovarian", None])), min_size=1, max_size=10),
    impute=st.sampled_from(["median", "mean", "none"]),
    scale=st.booleans(),
)
def test_any_fold_gives_a_usable_matrix(train, test, impute, scale):
    """Whatever lies in the folds: no infinity, missing values only where they may be, and the same columns."""

    def table(rows):
        a, b, kinds = zip(*rows, strict=True)
        raw = pd.DataFrame({"nlr": np.array(a, dtype=float), "albumin_g_dl": np.array(b, dtype=float)})
        return model_frame(raw.assign(tumor_type=pd.Series(kinds, dtype="str")), ["nlr", "albumin_g_dl", "tumor_type"])

    features = {"nlr": {"transform": "log2", "clip": [0.5, 25]}, "albumin_g_dl": {}, "tumor_type": {}}
    pre = Preprocessor(features, impute, scale, min_category_count=2).fit(table(train))
    Z = pre.transform(table(test))
    assert Z.columns.tolist() == pre.column_names_
    assert not np.isinf(Z.to_numpy()).any()
    if impute != "none":
        assert Z.notna().all(axis=None)
    else:
        for name in pre.numeric_:
            known_gap = table(train)[name].isna().sum() >= 2
            assert np.array_equal(Z[name].isna(), table(test)[name].isna() & known_gap)
    if scale and impute != "none" and pre.numeric_:
        # nobody is further away than the range of the training fold allows
        fitted = pre.transform(table(train))[pre.numeric_]
        assert (fitted.abs() <= np.sqrt(len(train)) + 1e-6).all(axis=None)
