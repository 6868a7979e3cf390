"""Units that a source may use, and the factors that bring them to the vocabulary's units."""

from __future__ import annotations

from immunocast.cohort.vocabulary import Column
from immunocast.errors import ConfigError

#: A month is a twelfth of a Julian year, so that six months are 182.6 days everywhere.
DAYS_PER_MONTH = 365.25 / 12

_FRACTION = {"fraction": 1.0, "percent": 0.01, "%": 0.01}
_SAME_COUNT = {
    **dict.fromkeys(("10^9/L", "x10^9/L", "10E9/L", "10^3/uL", "10^3/mm3", "K/uL", "K/mm3", "G/L"), 1.0),
    **dict.fromkeys(("/uL", "/mm3", "cells/uL", "cells/mm3", "10^6/L"), 1e-3),
}

#: vocabulary unit -> unit of the source -> factor
_BY_UNIT: dict[str, dict[str, float]] = {
    "months": {"months": 1.0, "days": 1 / DAYS_PER_MONTH, "weeks": 7 / DAYS_PER_MONTH, "years": 12.0},
    "years": {"years": 1.0, "months": 1 / 12, "days": 1 / 365.25},
    "%": {"%": 1.0, "percent": 1.0, "fraction": 100.0},
    "g/dL": {"g/dL": 1.0, "g/L": 0.1},
    "mg/L": {"mg/L": 1.0, "mg/dL": 10.0},
    "weeks": {"weeks": 1.0, "days": 1 / 7, "months": DAYS_PER_MONTH / 7},
    "days": {"days": 1.0, "weeks": 7.0, "months": DAYS_PER_MONTH},
    "mm": {"mm": 1.0, "cm": 10.0},
    "pg/mL": {"pg/mL": 1.0, "ng/L": 1.0, "ng/mL": 1000.0},
    "10^9/L": _SAME_COUNT,
    "cm": {"cm": 1.0, "m": 100.0, "in": 2.54},
    "kg": {"kg": 1.0, "lb": 0.45359237},
}

#: Columns whose units the vocabulary's unit does not tell. Haemoglobin: 1 mmol/L of the monomer
#: (16,114 g/mol) is 1.6114 g/dL. Albumin: 1 umol/L (66,470 g/mol) is 0.006647 g/dL.
_BY_COLUMN: dict[str, dict[str, float]] = {
    **{name: _FRACTION for name in ("fcna", "clonal_fraction", "tumor_purity", "msaf")},
    "hemoglobin_g_dl": {"g/dL": 1.0, "g/L": 0.1, "mmol/L": 1.6114},
    "albumin_g_dl": {"g/dL": 1.0, "g/L": 0.1, "umol/L": 0.006647},
}

#: Units that need a second number, which the mapping states: unit -> the key that gives it.
#: A count is divided by the size of the panel, an activity by its upper limit of normal.
DIVIDED: dict[str, tuple[str, tuple[str, ...]]] = {
    "tmb_mut_mb": ("panel_mb", ("count", "counts", "mutations")),
    "neoantigen_mut_mb": ("panel_mb", ("count", "counts")),
    "ldh_uln": ("uln", ("U/L", "IU/L", "ukat/L")),
}


def needs_divisor(column: Column, unit: str) -> str | None:
    """The key (`panel_mb`, `uln`) that a unit needs beside it; None where a factor is enough."""
    key, units = DIVIDED.get(column.name, ("", ()))
    return key if unit.strip().casefold() in {u.casefold() for u in units} else None


def known_units(column: Column) -> dict[str, float]:
    """Units in which a source may give a column, each with the factor to the vocabulary's unit.

    Empty where the column has no unit or is not a number.
    """
    if column.kind not in ("number", "integer"):
        return {}
    known = _BY_COLUMN.get(column.name) or _BY_UNIT.get(column.unit)
    return known or ({column.unit: 1.0} if column.unit else {})


def conversion_factor(column: Column, unit: str) -> float:
    """Factor that brings a value in `unit` to the vocabulary's unit; case does not count.

    Raises
    ------
    ConfigError
        Where the unit is not known for the column; the message lists those that are.

    Examples
    --------
    >>> from immunocast.cohort.vocabulary import VOCABULARY
    >>> round(365.25 * conversion_factor(VOCABULARY["pfs_months"], "days"), 9)
    12.0
    """
    known = known_units(column)
    for name, factor in known.items():
        if name.casefold() == unit.strip().casefold():
            return factor
    key, divided = DIVIDED.get(column.name, ("", ()))
    units = ", ".join([*known, *(f"{u} (with {key})" for u in divided)]) or "none (the column has no unit)"
    raise ConfigError(f"Unit {unit!r} is not known for {column.name}. Known units: {units}.")
