"""Splines and slopes by category: columns with names and sources, fitted in the fold, JSON-ready."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from immunocast.errors import ConfigError
from immunocast.features.expand import Expansion, Product, restricted_cubic
from immunocast.features.preprocess import Preprocessor, model_frame

FEATURES = {"nlr": {}, "pdl1_tps": {}, "prior_systemic_therapy": {}, "tumor_type": {}, "sex": {}}


def frame(n=200, seed=0):
    rng = np.random.default_rng(seed)
    kind = rng.choice(["NSCLC", "Renal", "Melanoma"], n, p=[0.6, 0.3, 0.1])
    table = pd.DataFrame(
        {
            "nlr": np.where(rng.random(n) < 0.2, np.nan, rng.lognormal(1.5, 0.7, n)),
            "pdl1_tps": np.where((kind == "NSCLC") & (rng.random(n) < 0.7), rng.integers(0, 101, n), np.nan),
            "prior_systemic_therapy": pd.array(rng.integers(0, 2, n), dtype="Int64"),
            "tumor_type": pd.Series(kind, dtype="str"),
            "sex": pd.Series(rng.choice(["female", "male"], n), dtype="str"),
        }
    )
    return model_frame(table, list(FEATURES))


def expanded(X, **settings):
    pre = Preprocessor(FEATURES, min_category_count=1).fit(X)
    Z = pre.transform(X)
    origin = {c: (pre.fill_[c] - pre.mean_[c]) / pre.std_[c] for c in pre.numeric_}
    return Expansion(**settings).fit(Z, X, pre.source_, origin), Z


def test_every_new_column_has_a_name_and_a_source():
    X = frame()
    expansion, Z = expanded(X, knots=4, by="tumor_type", of=["pdl1_tps", "nlr"])
    out = expansion.transform(Z, X)
    assert out.columns.tolist() == expansion.column_names_
    new = dict(zip(expansion.column_names_, expansion.source_, strict=True))
    assert {c: f for c, f in new.items() if c not in Z.columns} == {
        "nlr~1": "nlr",
        "nlr~2": "nlr",
        "pdl1_tps~1": "pdl1_tps",
        "pdl1_tps~2": "pdl1_tps",
        # PD-L1 was measured in NSCLC only: elsewhere the fold tells no slope
        "pdl1_tps*tumor_type=NSCLC": "pdl1_tps",
        "nlr*tumor_type=Melanoma": "nlr",
        "nlr*tumor_type=NSCLC": "nlr",
        "nlr*tumor_type=Renal": "nlr",
    }
    assert out[Z.columns].equals(Z)


def test_a_missing_measurement_has_no_departure_from_the_common_slope():
    X = frame()
    expansion, Z = expanded(X, by="tumor_type")
    product = expansion.transform(Z, X)["nlr*tumor_type=NSCLC"].to_numpy()
    lung = (X["tumor_type"] == "NSCLC").to_numpy()
    missing = X["nlr"].isna().to_numpy()
    assert np.allclose(product[missing | ~lung], 0, atol=1e-12)
    assert (np.abs(product[lung & ~missing]) > 1e-6).mean() > 0.95


def test_the_spline_terms_are_orthogonal_to_the_line_over_those_measured():
    X = frame()
    expansion, Z = expanded(X, knots=5)
    terms = expansion.transform(Z, X)[["nlr~1", "nlr~2", "nlr~3"]].to_numpy()
    there = X["nlr"].notna().to_numpy()
    basis = np.column_stack([np.ones(len(Z)), Z["nlr"], terms])[there]
    gram = basis.T @ basis / there.sum()
    assert np.allclose(gram[2:, :2], 0, atol=1e-8)
    assert np.allclose(gram[2:, 2:], np.eye(3), atol=1e-8)
    assert (terms[~there] == 0).all()


def test_filled_values_set_no_knots():
    X = frame().assign(pdl1_tps=np.nan)
    X.loc[:39, "pdl1_tps"] = np.linspace(0, 100, 40)
    expansion, Z = expanded(X, knots=3)
    measured = Z["pdl1_tps"].to_numpy()[:40]
    assert expansion.curves_["pdl1_tps"]["knots"] == pytest.approx(np.quantile(measured, [0.1, 0.5, 0.9]))


@settings(max_examples=40, deadline=None)
@given(
    knots=st.lists(st.floats(-3, 3), min_size=3, max_size=6, unique_by=lambda v: round(v, 1)),
    far=st.floats(0.5, 20),
)
def test_beyond_the_outer_knots_a_curve_is_straight(knots, far):
    knots = sorted(knots)
    for edge, sign in ((knots[0], -1), (knots[-1], 1)):
        x = edge + sign * far * np.array([1.0, 2.0, 3.0])
        terms = restricted_cubic(x, knots)
        assert np.allclose(terms[0] - 2 * terms[1] + terms[2], 0, atol=1e-6 * (1 + np.abs(terms).max()))


def test_the_terms_equal_a_natural_cubic_spline():
    """Line and terms span what scipy interpolates with second derivative 0 at both ends."""
    from scipy.interpolate import CubicSpline

    knots = np.array([-1.5, -0.2, 0.4, 2.0])
    x = np.linspace(-1.5, 2, 50)
    basis = np.column_stack([np.ones(50), x, restricted_cubic(x, knots)])
    for k in range(4):
        curve = CubicSpline(knots, np.eye(4)[k], bc_type="natural")(x)
        fitted = basis @ np.linalg.lstsq(basis, curve, rcond=None)[0]
        assert np.allclose(fitted, curve, atol=1e-10)


@pytest.mark.parametrize("values", [np.full(200, 3.0), np.repeat([1.0, 2.0], 100), np.full(200, np.nan)])
def test_too_few_values_stay_a_straight_line(values):
    X = frame().assign(nlr=values)
    expansion, Z = expanded(X, knots=4)
    assert not [c for c in expansion.column_names_ if c.startswith("nlr~")]
    assert np.isfinite(expansion.transform(Z, X)).all(axis=None)


def test_one_type_only_has_nothing_to_depart_from():
    expansion, _ = expanded(frame().assign(tumor_type="Renal"), by="tumor_type")
    assert expansion.products_ == {}


def test_an_infinite_penalty_leaves_nothing_of_the_departures():
    X = frame()
    expansion, Z = expanded(X, by="tumor_type", penalty=float("inf"))
    assert expansion.products_
    assert (expansion.transform(Z, X)[list(expansion.products_)] == 0).all(axis=None)


def test_state_goes_through_json():
    X = frame()
    expansion, Z = expanded(X, knots=4, by="tumor_type", of=["pdl1_tps"], penalty=4)
    state = json.loads(json.dumps(expansion.state()))
    back = clone(expansion).restore(state)
    assert back.transform(Z, X).equals(expansion.transform(Z, X))
    assert back.state() == expansion.state()
    assert back.products_["pdl1_tps*tumor_type=NSCLC"] == Product(
        "pdl1_tps", "tumor_type=NSCLC", pytest.approx(0.0, abs=2), 0.5
    )


def test_nobodys_columns_depend_on_who_stands_beside():
    X = frame()
    expansion, Z = expanded(X, knots=5, by="tumor_type")
    one = expansion.transform(Z.iloc[[7]], X.iloc[[7]]).to_numpy()[0]
    assert np.array_equal(one, expansion.transform(Z, X).to_numpy()[7])


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"knots": 2}, "knots is 2"),
        ({"knots": True}, "knots is True"),
        ({"penalty": 0}, "penalty is 0"),
        ({"penalty": "four"}, "penalty is 'four'"),
        ({"penalty": float("nan")}, "penalty is nan"),
        ({"by": "nlr"}, "by is 'nlr'"),
        ({"by": "stage"}, "by is 'stage'"),
        ({"of": ["nlr"]}, "say by what"),
        ({"by": "tumor_type", "of": "nlr"}, "write a list"),
        ({"by": "tumor_type", "of": []}, "write a list"),
        ({"by": "tumor_type", "of": ["nlrr"]}, "nlrr is not among"),
        ({"by": "tumor_type", "of": ["tumor_type"]}, "tumor_type is not among"),
    ],
)
def test_settings_that_cannot_be_used_are_named(bad, words):
    with pytest.raises(ConfigError, match=words):
        Expansion(**bad).check(FEATURES)
