"""Single-marker cut-offs: the training fold's rates, and what happens at the edges."""

import numpy as np
import pandas as pd
import pytest

from immunocast.errors import ConfigError
from immunocast.models.cutoff import MarkerCutoff


def frame(values):
    return pd.DataFrame({"tmb_mut_mb": np.array(values, dtype=float)})


def test_rates_of_the_training_fold_on_either_side():
    model = MarkerCutoff("tmb_mut_mb", 10).fit(frame([1, 9.99, 10, 30, np.nan]), [0, 1, 1, 1, 0])
    assert (model.rate_below_, model.rate_above_) == (0.5, 1.0), "a patient without the marker counts nowhere"
    p = model.predict_proba(frame([10, 9.999, np.nan]))
    assert p[:2, 1].tolist() == [1.0, 0.5], "the cut-off itself is above"
    assert np.isnan(p[2]).all()
    assert np.allclose(p[:2].sum(axis=1), 1)
    assert model.predict(frame([10, 9])).tolist() == [1, 0]


def test_an_empty_side_takes_the_rate_of_the_fold():
    model = MarkerCutoff("tmb_mut_mb", 10).fit(frame([1, 2, 3, np.nan]), [1, 0, 0, 1])
    assert model.rate_above_ == 0.5
    assert model.rate_below_ == pytest.approx(1 / 3)


def test_nobody_has_the_marker():
    model = MarkerCutoff("tmb_mut_mb", 10).fit(frame([np.nan, np.nan]), [1, 0])
    assert (model.rate_below_, model.rate_above_) == pytest.approx((0.5, 0.5), abs=2e-9)
    assert model.rate_above_ > model.rate_below_
    assert np.isnan(model.predict_proba(frame([np.nan]))).all()


@pytest.mark.parametrize("marker", ["responder", "os_months", "tumor_type", "patient_id", "p_response", "sex"])
def test_only_numeric_features(marker):
    with pytest.raises(ConfigError, match=marker):
        _ = MarkerCutoff(marker, 1).spec


@pytest.mark.parametrize("cutoff", ["ten", None, np.nan, np.inf, True])
def test_the_cutoff_is_a_number(cutoff):
    with pytest.raises(ConfigError, match="must be a number"):
        _ = MarkerCutoff("tmb_mut_mb", cutoff).spec


def test_label_and_scale():
    spec = MarkerCutoff("pdl1_tps", 50).spec
    assert spec.label == "PD-L1 TPS >= 50 %"
    assert spec.required == ("pdl1_tps",)
    assert spec.output_scale == "probability"


def test_a_rule_is_never_turned_round():
    """The training fold says that marker-high patients respond less: the rule ranks as it says all the same."""
    X = pd.DataFrame({"pdl1_tps": [0.0, 0, 0, 0, 60, 60, 60, 60, np.nan]})
    y = [1, 1, 1, 0, 1, 0, 0, 0, 1]
    model = MarkerCutoff("pdl1_tps", 50).fit(X, y)
    assert (model.rate_below_, model.rate_above_) == pytest.approx((0.5, 0.5), abs=2e-9)
    assert model.rate_above_ > model.rate_below_
    everybody = MarkerCutoff("pdl1_tps", 50).fit(X.head(8), [1] * 8)
    assert everybody.rate_above_ == 1.0 > everybody.rate_below_
    nobody = MarkerCutoff("pdl1_tps", 50).fit(X.head(8), [0] * 8)
    assert nobody.rate_above_ > nobody.rate_below_ == 0.0
