from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from immunocast.report import text


def _row(value: float, low: float = 0.1, high: float = 0.2, note: str | None = "") -> dict:
    return {"estimate": value, "ci_low": low, "ci_high": high, "note": note}


def test_estimate_shows_value_and_interval() -> None:
    assert text.estimate(_row(0.15)) == "0.150 (0.100 to 0.200)"
    assert text.estimate(_row(0.15, math.nan, math.nan)) == "0.150 (no interval)"
    assert text.estimate(_row(-0.5, -0.75, 0.25), 2, sign=True) == "-0.50 (-0.75 to +0.25)"


def test_null_estimate_shows_its_note() -> None:
    assert text.estimate(_row(math.nan, note="too small: fewer than 10 events")) == "too small"
    assert text.estimate(_row(math.nan, note="x" * 60)) == "not estimated"
    assert text.estimate(_row(math.nan, note=None)) == "not estimated"
    assert text.estimate(None) == "not estimated"


@settings(max_examples=60, deadline=None)
@given(st.one_of(st.floats(), st.none()), st.integers(0, 4), st.booleans())
def test_numbers_never_read_nan_inf_or_negative_zero(value: float | None, decimals: int, sign: bool) -> None:
    shown = text.number(value, decimals, sign)
    assert "nan" not in shown
    assert "inf" not in shown
    assert not (shown.startswith("-") and float(shown) == 0)
    if value is not None and math.isfinite(value):
        assert float(shown) == pytest.approx(value, abs=0.51 * 10**-decimals, rel=1e-9)


def test_minus_signs_replace_hyphens_of_numbers_only() -> None:
    assert text.typographic("MSK-1, 2020-01-02, -0.3 (-1 to 2)") == "MSK-1, 2020-01-02, −0.3 (−1 to 2)"


def test_p_values() -> None:
    assert text.p_value(0.0004) == "< 0.001"
    assert text.p_value(0.0401) == "0.040"
    assert text.p_value(math.nan) == ""
