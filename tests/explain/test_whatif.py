"""What-if questions: parsing, ranges that were seen, refusals, and that only the one value moves."""

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from immunocast.cohort.vocabulary import FEATURES, VOCABULARY
from immunocast.errors import ConfigError
from immunocast.explain.whatif import Asked, grid, observed_range, parse_what_if, what_if


class Plain:
    """A model whose probability is known: expit(a * nlr + b * [Renal])."""

    spec = SimpleNamespace(inputs=("nlr", "tumor_type", "ecog", "egfr_mut"), by_cohort=False)

    def __init__(self, a=-0.2, b=1.0):
        self.a, self.b = a, b

    def predict_proba(self, X):
        z = self.a * X["nlr"].fillna(4.0).to_numpy() + self.b * (X["tumor_type"] == "Renal").to_numpy()
        p = 1 / (1 + np.exp(-z))
        return np.column_stack([1 - p, p])


def training(n=200, seed=0):
    rng = np.random.default_rng(seed)
    nlr = rng.lognormal(1.4, 0.7, n)
    return pd.DataFrame(
        {
            "nlr": np.where(rng.random(n) < 0.1, np.nan, nlr),
            "plr": nlr * 50 + rng.normal(0, 10, n),
            "tumor_type": ["Renal"] * 90 + ["NSCLC"] * 105 + ["SCLC"] * 5,
            "ecog": rng.integers(0, 3, n).astype(float),
            "egfr_mut": [1.0] * 3 + [0.0] * (n - 3),
        }
    )


PATIENT = pd.DataFrame({"nlr": [3.0], "tumor_type": ["NSCLC"], "ecog": [1.0], "egfr_mut": [0.0]})
INPUTS = Plain.spec.inputs


PLAIN = Plain()


def ask(text, models=(PLAIN,), patient=PATIENT, table=None, inputs=INPUTS):
    return what_if(models, patient, training() if table is None else table, inputs, parse_what_if(text))


def test_a_grid_spans_the_middle_98_percent_of_the_measured_training_patients():
    table = training()
    curve = ask("nlr", table=table)
    low, high = np.percentile(table["nlr"].dropna(), [1, 99], method="nearest")
    assert (curve.values[0], curve.values[-1]) == (low, high)
    assert curve.reach.n == table["nlr"].notna().sum()
    assert list(curve.values) == sorted(set(curve.values))
    expected = 1 / (1 + np.exp(0.2 * np.array(curve.values)))
    assert curve.p == pytest.approx(expected)
    assert curve.p_own == pytest.approx(1 / (1 + math.exp(0.6)))
    assert curve.own == 3.0


def test_probabilities_are_averaged_over_the_models_that_predicted_the_patient():
    one, other = (ask("nlr=5", models=(m,)).p[0] for m in (Plain(), Plain(a=0.1)))
    assert ask("nlr=5", models=(Plain(), Plain(a=0.1))).p[0] == pytest.approx((one + other) / 2)


def test_levels_are_those_that_enough_training_patients_have():
    curve = ask("tumor_type")
    assert curve.values == ("NSCLC", "Renal"), "5 patients with SCLC are too few"
    assert curve.p[1] > curve.p[0]
    assert ask("egfr_mut").values == (0.0,)
    assert set(ask("ecog").values) == {0.0, 1.0, 2.0}


def test_a_value_that_was_not_measured_can_be_asked_for():
    curve = ask("nlr=6", patient=PATIENT.assign(nlr=np.nan))
    assert curve.own is None
    assert curve.p_own == pytest.approx(1 / (1 + math.exp(0.8)))
    assert curve.p[0] == pytest.approx(1 / (1 + math.exp(1.2)))


def test_values_imputed_at_source_are_no_range():
    table = training().assign(nlr_measured=0)
    table.loc[:49, "nlr_measured"] = 1
    reach = observed_range(table, "nlr")
    assert reach.n == table["nlr"].iloc[:50].notna().sum()


def test_what_goes_together_is_named():
    assert ask("nlr", inputs=(*INPUTS, "plr")).held_with == ("plr",)
    assert ask("ecog").held_with == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nlr=500", "1st to 99th percentile of"),
        ("nlr=0", "outside of what the model has seen"),
        ("tumor_type=SCLC", "fewer than 10 training patients.*NSCLC, Renal"),
        ("egfr_mut=yes", "fewer than 10.*no"),
        ("sex", "the model does not use it. It uses: nlr"),
    ],
)
def test_what_the_model_has_not_seen_is_refused(text, says):
    with pytest.raises(ConfigError, match=says):
        ask(text)


def test_a_feature_that_few_had_has_no_range():
    with pytest.raises(ConfigError, match=r"measured in 19 training patients.*needs 20"):
        observed_range(training().head(200).assign(nlr=[1.0] * 19 + [np.nan] * 181), "nlr")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no feature"),
        ("nlt=3", "Did you mean nlr"),
        ("responder=1", "no feature"),
        ("os_months", "no feature"),
        ("nlr=", "no number"),
        ("nlr=high", "no number"),
        ("nlr=nan", "no finite number"),
        ("nlr=1e999", "no finite number"),
        ("nlr=3=4", "no number"),
        ("ecog=1.5", "whole number"),
        ("egfr_mut=maybe", "yes or no"),
        ("tumor_type=Lung", "no level of Tumour type: NSCLC"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_mend(text, says):
    with pytest.raises(ConfigError, match=says):
        parse_what_if(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nlr", Asked("nlr", None)),
        (" NLR = 3.5 ", Asked("nlr", "3.5")),
        ("tumor_type=renal", Asked("tumor_type", "renal")),
        ("egfr_mut=Yes", Asked("egfr_mut", "Yes")),
    ],
)
def test_what_can_be_read(text, expected):
    assert parse_what_if(text) == expected


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused_in_words(text):
    try:
        asked = parse_what_if(text)
    except ConfigError:
        return
    assert asked.feature in FEATURES


@given(st.sampled_from(FEATURES), st.text(max_size=12))
def test_any_value_of_any_feature_is_read_or_refused_in_words(feature, value):
    try:
        asked = parse_what_if(f"{feature}={value}")
    except ConfigError:
        return
    assert asked == Asked(feature, value.strip())


@given(st.lists(st.floats(0.01, 250), min_size=20, max_size=60))
def test_a_grid_stays_inside_the_range_and_rises(values):
    reach = observed_range(pd.DataFrame({"nlr": values}), "nlr")
    points = grid(reach)
    assert points[0] == reach.low
    assert points[-1] == reach.high
    assert list(points) == sorted(set(points))
    assert set(values) >= {reach.low, reach.high}


@pytest.mark.parametrize("feature", ["ecog", "line_of_therapy", "metastatic_sites", "mutation_count"])
def test_whole_numbers_stay_whole(feature):
    rng = np.random.default_rng(0)
    assert VOCABULARY[feature].kind == "integer"
    points = grid(observed_range(pd.DataFrame({feature: rng.integers(1, 400, 100)}), feature))
    assert all(v == round(v) for v in points)
    assert len(points) == len(set(points))
