"""Mistakes that the scenarios `unit_error` and `imputed` plant into the cohort table: traps for quality checks.

Each is one that a file can carry without breaking a range of the vocabulary. The truth table says in `planted` which
rows carry which.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from immunocast.cohort.synthetic.mechanisms import Values
from immunocast.cohort.synthetic.streams import Streams
from immunocast.cohort.synthetic.survival import WEEKS_A_MONTH

#: What the authors of a published score put in for patients without a value (LORIS, Chang 2024).
IMPUTED_NLR, IMPUTED_ALBUMIN = 6.2, 3.8
PARTLY = 0.20
_MB_OF_EXOME = 30.0
_MMOL_L_PER_G_DL = 0.6206  # haemoglobin (Fe), by its molar mass


def _time_in_weeks(columns: Values, true: Values, draws: Streams) -> np.ndarray:
    for column in ("pfs_months", "os_months"):
        columns[column] = np.round(columns[column] * WEEKS_A_MONTH, 1)
    return np.ones(draws.n, dtype=bool)


def _haemoglobin_in_mmol_l(columns: Values, true: Values, draws: Streams) -> np.ndarray:
    columns["hemoglobin_g_dl"] = np.round(columns["hemoglobin_g_dl"] * _MMOL_L_PER_G_DL, 1)
    return np.isfinite(columns["hemoglobin_g_dl"])


def _tmb_as_exome_count(columns: Values, true: Values, draws: Streams) -> np.ndarray:
    columns["tmb_mut_mb"] = np.minimum(np.rint(columns["tmb_mut_mb"] * _MB_OF_EXOME), 2000.0)
    return np.isfinite(columns["tmb_mut_mb"])


def _blood_constant(columns: Values, true: Values, draws: Streams) -> np.ndarray:
    rows = np.ones(draws.n, dtype=bool)
    _impute(columns, rows)
    return rows


def _blood_partly_constant(columns: Values, true: Values, draws: Streams) -> np.ndarray:
    rows = draws.uniform("planted") < PARTLY
    _impute(columns, rows)
    return rows


def _impute(columns: Values, rows: np.ndarray) -> None:
    columns["nlr"] = np.where(rows, IMPUTED_NLR, columns["nlr"])
    columns["albumin_g_dl"] = np.where(rows, IMPUTED_ALBUMIN, columns["albumin_g_dl"])


def _nlr_is_twice_dnlr(columns: Values, true: Values, draws: Streams) -> np.ndarray:
    # other leukocytes (monocytes and the like) are about half as many as lymphocytes
    others = 0.5 * np.exp(0.4 * draws.normal("other_leukocytes"))
    dnlr = np.round(true["nlr"] / (1 + others), 2)
    columns["dnlr"] = np.where(np.isfinite(columns["nlr"]), dnlr, np.nan)
    columns["nlr"] = np.round(2 * columns["dnlr"], 2)
    return np.isfinite(columns["nlr"])


#: Mistake -> what it does and how the truth table calls it.
PLANTS: dict[str, tuple[Callable[[Values, Values, Streams], np.ndarray], str]] = {
    "time_in_weeks": (_time_in_weeks, "pfs_months and os_months hold weeks"),
    "haemoglobin_in_mmol_l": (_haemoglobin_in_mmol_l, "hemoglobin_g_dl holds mmol/L"),
    "tmb_as_exome_count": (_tmb_as_exome_count, "tmb_mut_mb holds mutations counted on an exome of 30 Mb"),
    "blood_constant": (_blood_constant, "nlr is 6.2 and albumin_g_dl 3.8 for everybody"),
    "blood_partly_constant": (_blood_partly_constant, "nlr is 6.2 and albumin_g_dl 3.8 for a fifth of the patients"),
    "nlr_is_twice_dnlr": (_nlr_is_twice_dnlr, "nlr is 2 x dnlr"),
}


def plant(name: str, columns: Values, true: Values, draws: Streams) -> np.ndarray:
    """Plant a mistake into the columns of one cohort, in place.

    Parameters
    ----------
    name : key of `PLANTS`.
    columns : the cohort table's columns.
    true : output of `draw_patients`.
    draws : the patients' random streams.

    Returns
    -------
    (n,) bool, the rows that carry it.
    """
    return PLANTS[name][0](columns, true, draws)
