"""Words and numbers as a reader sees them: estimates with intervals, p-values, labels of endpoints and schemes."""

from __future__ import annotations

import math
import re
from typing import Any

import pandas as pd

#: What a validation scheme means, in a sentence.
SCHEMES = {
    "leave_one_cohort_out": "each cohort is predicted by models that were fitted without it",
    "repeated_kfold": ("each patient is predicted by models that were fitted on the other folds; repeats are averaged"),
    "train_test": "the test cohorts are predicted by models that were fitted on the training cohorts only",
    "external": "the held-out cohorts are predicted by models that were fitted on all other cohorts",
    "temporal": "later patients are predicted by models that were fitted on patients who began treatment before them",
    "leave_one_site_out": "each site is predicted by models that were fitted without it",
    "leave_one_tumor_type_out": "each tumour type is predicted by models that were fitted without it",
}

METRIC_LABELS = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "brier": "Brier score",
    "scaled_brier": "Scaled Brier score",
    "calibration_intercept": "Calibration intercept",
    "calibration_slope": "Calibration slope",
    "net_benefit": "Net benefit",
    "oe_ratio": "O:E",
    "ici": "ICI",
    "log_loss": "Log loss",
    "c_harrell_os": "Harrell’s C",
    "c_uno_os": "Uno’s C",
    "td_auc_os": "AUC(t)",
    "brier_os": "Brier(t)",
    "ibs_os": "Integrated Brier",
    "ipa_os": "IPA",
    "scaled_ibs_os": "Scaled integrated Brier",
    "c_harrell_pfs": "Harrell’s C",
    "c_uno_pfs": "Uno’s C",
    "td_auc_pfs": "AUC(t)",
    "brier_pfs": "Brier(t)",
    "ibs_pfs": "Integrated Brier",
    "ipa_pfs": "IPA",
    "scaled_ibs_pfs": "Scaled integrated Brier",
    "auroc_by_fold": "AUROC, mean over folds",
    "brier_by_fold": "Brier score, mean over folds",
}

#: Decimals with which a metric is printed.
DECIMALS = {"calibration_intercept": 2, "calibration_slope": 2, "oe_ratio": 2, "oe_ratio_shrunken": 2}

SYNTHETIC_BANNER = "SYNTHETIC DATA: no patient exists. Nothing here says anything about real patients."


def humanise(name: str) -> str:
    """A code as words.

    >>> humanise("not_evaluable")
    'not evaluable'
    """
    return str(name).replace("_", " ").strip()


def sentence(words: str) -> str:
    """Words as the beginning of a sentence; the case of abbreviations stays.

    >>> sentence("patients with an irAE")
    'Patients with an irAE'
    """
    return words[:1].upper() + words[1:]


_RECALIBRATIONS = {
    "platt": "Platt",
    "intercept": "intercept only",
    "intercept_site": "intercept of its site",
}


def recalibration_label(name: str) -> str:
    """What a recalibrator is called.

    >>> recalibration_label("platt"), recalibration_label("isotonic")
    ('Platt', 'isotonic')
    """
    return _RECALIBRATIONS.get(name, humanise(name))


_LEVELS = {
    "ici": "checkpoint inhibitor",
    "pd1": "PD-1",
    "pdl1": "PD-L1",
    "ctla4": "CTLA-4",
    "pd1_or_pdl1": "PD-1 or PD-L1",
    "pd1_ctla4": "PD-1 + CTLA-4",
    "chemo_io": "chemotherapy + ICI",
}


def level_label(level: object) -> str:
    """A level of a category as tables and figures print it."""
    return _LEVELS.get(str(level), str(level))


def level_order(level: object) -> tuple[float, str]:
    """Where a level stands among its own: by its number where it has one, "under 50" before "50-64".

    >>> sorted(["65-74", "75 and older", "under 50", "50-64"], key=level_order)
    ['under 50', '50-64', '65-74', '75 and older']
    """
    words = str(level)
    number = re.search(r"\d+(\.\d+)?", words) if re.match(r"(under|over|<|>|≥|\d)", words) else None
    place = float(number[0]) if number else math.inf
    return (place - 0.5 if words.startswith(("under", "<")) else place, words)


def scheme_label(scheme: str) -> str:
    """What a validation scheme is called in a sentence."""
    names = {
        "leave_one_cohort_out": "leave-one-cohort-out",
        "repeated_kfold": "repeated k-fold",
        "train_test": "train and test cohorts",
        "external": "held-out cohorts",
        "temporal": "temporal split",
        "leave_one_site_out": "leave-one-site-out",
        "leave_one_tumor_type_out": "leave-one-tumour-type-out",
    }
    return names.get(scheme, humanise(scheme))


def is_number(value: Any) -> bool:
    """Whether a value is a finite number."""
    return value is not None and not pd.isna(value) and math.isfinite(float(value))


def number(value: Any, decimals: int = 3, sign: bool = False) -> str:
    """A number with a fixed count of decimals and never a negative zero; "" where there is none.

    >>> number(-0.0001), number(0.25, 2, sign=True)
    ('0.000', '+0.25')
    """
    if not is_number(value):
        return ""
    text = f"{float(value):+.{decimals}f}" if sign else f"{float(value):.{decimals}f}"
    return text.lstrip("+-") if float(text) == 0 else text


def interval(low: Any, high: Any, decimals: int = 3, sign: bool = False) -> str:
    """An interval as "low to high"; "" where an end is unknown."""
    if not (is_number(low) and is_number(high)):
        return ""
    return f"{number(low, decimals, sign)} to {number(high, decimals, sign)}"


def estimate(row: Any, decimals: int = 3, column: str = "estimate", sign: bool = False) -> str:
    """Estimate with its interval, or the note that says why there is none.

    Parameters
    ----------
    row : a row of the metrics or comparisons table (a mapping), or None.
    decimals : decimals of all three numbers.
    column : name of the point estimate.
    sign : write "+" before positive numbers (differences).

    Returns
    -------
    "0.712 (0.680 to 0.744)", or the note, or "not estimated"; never "nan".
    """
    if row is None:
        return "not estimated"
    if not is_number(row[column]):
        return short_note(row.get("note", "")) or "not estimated"
    span = interval(row["ci_low"], row["ci_high"], decimals, sign)
    return number(row[column], decimals, sign) + (f" ({span})" if span else " (no interval)")


def short_note(note: Any, width: int = 28) -> str:
    """The first clause of a note where it fits into `width` letters, else ""; whole notes stand below tables.

    >>> short_note("A left out: abstained on every patient; B: 3 patients left out")
    'abstained on every patient'
    """
    whole = "" if note is None or pd.isna(note) else re.sub(r"^[^;]*? left out: ", "", str(note))
    words = re.split(r"[;:(,]| - ", whole, maxsplit=1)[0].strip()
    return words if len(words) <= width else ""


def p_value(p: Any) -> str:
    """A two-sided p-value.

    >>> p_value(0.00002), p_value(0.0314)
    ('< 0.001', '0.031')
    """
    if not is_number(p):
        return ""
    return "< 0.001" if float(p) < 0.001 else f"{float(p):.3f}"


def percent(part: float, whole: float, decimals: int = 1) -> str:
    """A share in per cent; "" where the whole is 0."""
    return f"{100 * part / whole:.{decimals}f} %" if whole else ""


def typographic(text: str) -> str:
    """Replace the hyphen before a number by a minus sign; identifiers keep their hyphens.

    >>> typographic("-0.2 (-0.4 to 0.1), MSK-1")
    '−0.2 (−0.4 to 0.1), MSK-1'
    """
    return re.sub(r"(?<![\w.\-])-(?=\d)", "−", text)
