"""Gates of calibration: slope and intercept of the model's own probabilities."""

from __future__ import annotations

from immunocast.gates.evidence import Evidence, interval, known
from immunocast.gates.settings import Limits
from immunocast.gates.verdict import Finding, passed_if, unknown


def calibration_slope(evidence: Evidence, settings: Limits) -> Finding:
    """Slope of the logistic recalibration; below 1 the predictions are too extreme."""
    return _within(evidence, settings, "calibration_slope", "slope")


def calibration_intercept(evidence: Evidence, settings: Limits) -> Finding:
    """Calibration in the large, in log-odds; above 0 the predictions are too low on average."""
    return _within(evidence, settings, "calibration_intercept", "intercept (log-odds)")


def _within(evidence: Evidence, settings: Limits, metric: str, name: str) -> Finding:
    row = evidence.estimate(metric)
    limits = f"between {settings.low:g} and {settings.high:g}"
    if row is None or not known(row["estimate"]):
        why = "the run has none" if row is None else str(row["note"]) or "not estimated"
        return unknown(f"{name}: {why}; {limits}")
    if settings.judge == "interval":
        if not (known(row["ci_low"]) and known(row["ci_high"])):
            return unknown(f"{name} {interval(row, digits=2)}; the whole interval {limits}")
        good = settings.low <= row["ci_low"] and row["ci_high"] <= settings.high
        return passed_if(good, f"{name} {interval(row, digits=2)}; the whole interval {limits}")
    good = settings.low <= row["estimate"] <= settings.high
    return passed_if(good, f"{name} {interval(row, digits=2)}; {limits}")
