"""Which group a patient belongs to: the subgroup variables of a report, with "unknown" as a level of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from immunocast.cohort.vocabulary import VOCABULARY
from immunocast.errors import ConfigError

UNKNOWN = "unknown"

#: What a report looks into unless told otherwise.
DEFAULT_SUBGROUPS = (
    "tumor_type",
    "sex",
    "age_band",
    "ancestry",
    "site_id",
    "line_of_therapy",
    "prior_systemic_therapy",
    "drug_class",
    "pdl1_measured",
    "tmb_measured",
    "blood_measured",
    "expression_measured",
)

#: Lower ends of the age bands: under 50, 50 to 64, 65 to 74, 75 and older.
AGE_BANDS = ((0.0, "under 50"), (50.0, "50-64"), (65.0, "65-74"), (75.0, "75 and older"))

_BLOCKS = {"pdl1_measured": "pdl1", "blood_measured": "blood", "expression_measured": "rna", "dna_measured": "dna"}

#: Columns whose availability makes a level, by the name of the subgroup variable.
MEASURED: dict[str, tuple[str, ...]] = {
    "tmb_measured": ("tmb_mut_mb",),
    **{name: tuple(c.name for c in VOCABULARY.values() if c.block == block) for name, block in _BLOCKS.items()},
}

_KINDS = ("category", "binary", "integer", "text")


def subgroup_names(names: Sequence[str]) -> tuple[str, ...]:
    """The names, checked: bands, availabilities, and columns of the vocabulary that have levels.

    Raises
    ------
    ConfigError
        For a name that is none of them.
    """
    if isinstance(names, str):
        raise ConfigError(f"evaluation.subgroups is {names!r}: give a list.")
    known = [
        c.name for c in VOCABULARY.values() if c.kind in _KINDS and c.role in ("design", "feature") and c.name != "arm"
    ]
    for name in names:
        if name not in known and name != "age_band" and name not in MEASURED:
            column = VOCABULARY.get(name)
            hint = "it is a number: use age_band, or a *_measured" if column and column.kind == "number" else "unknown"
            raise ConfigError(
                f"evaluation.subgroups names {name!r} ({hint}). Choose from: age_band, {', '.join(MEASURED)}, "
                f"{', '.join(known)}."
            )
    return tuple(dict.fromkeys(names))


def subgroup_frame(cohort: pd.DataFrame, names: Sequence[str] = DEFAULT_SUBGROUPS) -> pd.DataFrame:
    """The level of each patient in each subgroup variable.

    Parameters
    ----------
    cohort : cohort table.
    names : subgroup variables, see `subgroup_names`.

    Returns
    -------
    Frame indexed by patient_id, a column of text a variable, never missing: a value that is not known is the level
    "unknown".

    Raises
    ------
    ConfigError
        For a variable that does not exist.

    Examples
    --------
    >>> cohort = pd.DataFrame({"patient_id": ["a", "b"], "age_years": [49.9, 75], "sex": ["male", None]})
    >>> subgroup_frame(cohort, ["age_band", "sex"]).to_dict("list")
    {'age_band': ['under 50', '75 and older'], 'sex': ['male', 'unknown']}
    """
    frame = {name: _levels(cohort, name) for name in subgroup_names(names)}
    return pd.DataFrame(frame, index=pd.Index(cohort["patient_id"], name="patient_id"), dtype=str)


def _levels(cohort: pd.DataFrame, name: str) -> np.ndarray:
    out = np.full(len(cohort), UNKNOWN, dtype=object)
    if name in MEASURED:
        columns = [c for c in MEASURED[name] if c in cohort]
        measured = cohort[columns].notna().any(axis=1).to_numpy() if columns else np.zeros(len(cohort), dtype=bool)
        return np.where(measured, "measured", "not measured")
    source = "age_years" if name == "age_band" else name
    if source not in cohort:
        return out
    known = cohort[source].notna().to_numpy()
    values = cohort[source][known]
    kind = VOCABULARY[source].kind
    if name == "age_band":
        band = np.searchsorted([low for low, _ in AGE_BANDS], values.to_numpy(dtype=float), side="right") - 1
        out[known] = [AGE_BANDS[k][1] for k in band]
    elif name == "line_of_therapy":
        out[known] = ["3 and later" if v >= 3 else str(int(v)) for v in values]
    elif kind == "binary":
        out[known] = ["yes" if v == 1 else "no" for v in values]
    else:
        out[known] = [str(v).strip() or UNKNOWN for v in values]
    return out
