import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t, ttest_1samp

from immunocast.errors import DataError
from immunocast.metrics import corrected_t, holm

ps = st.lists(st.one_of(st.floats(0, 1), st.just(float("nan"))), max_size=12)


def test_holm_by_hand():
    """Holm 1979: the smallest of four times 4, the next times 3, and never below the one before."""
    found = holm([0.01, np.nan, 0.04, 0.03, 0.005])
    np.testing.assert_allclose(found, [0.03, np.nan, 0.06, 0.06, 0.02])


@given(ps)
def test_holm_lies_between_p_and_bonferroni_and_keeps_the_order(values):
    p = np.array(values, dtype=float)
    found = holm(p)
    known = ~np.isnan(p)
    assert np.array_equal(np.isnan(found), ~known)
    assert (found[known] >= p[known]).all()
    assert (found[known] <= np.minimum(1, p[known] * max(1, known.sum())) + 1e-12).all()
    order = np.argsort(p[known], kind="stable")
    assert (np.diff(found[known][order]) >= 0).all()


def test_corrected_t_by_hand():
    first, second = np.array([0.70, 0.74, 0.69, 0.75]), np.array([0.68, 0.71, 0.70, 0.70])
    d = first - second
    found = corrected_t(first, second, 0.25)
    error = np.sqrt((1 / 4 + 0.25) * d.var(ddof=1))
    assert found.difference == pytest.approx(d.mean())
    assert found.p == pytest.approx(2 * t.sf(d.mean() / error, 3))
    assert found.ci_high - found.difference == pytest.approx(t.ppf(0.975, 3) * error)
    # without the overlap of training sets it is the plain t test, which claims more
    plain = corrected_t(first, second, 0.0)
    assert plain.p == pytest.approx(ttest_1samp(d, 0).pvalue)
    assert plain.p < found.p


def test_corrected_t_without_spread():
    assert corrected_t([0.7, 0.7], [0.7, 0.7], 0.25).p == 1
    assert np.isnan(corrected_t([0.8, 0.8], [0.7, 0.7], 0.25).p)
    with pytest.raises(DataError, match="two folds"):
        corrected_t([0.8], [0.7], 0.25)
