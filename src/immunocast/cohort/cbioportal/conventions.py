"""What cBioPortal's names and codes mean: clinical attributes, missing codes, tumour types."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import pandas as pd
import yaml

from immunocast.cohort.vocabulary import TUMOR_TYPES
from immunocast.errors import ConfigError

#: Cells that mean missing in studies of the portal; case does not count.
MISSING_CODES = (
    "[Not Available]",
    "[Not Applicable]",
    "[Not Evaluated]",
    "[Unknown]",
    "[Discrepancy]",
    "[Pending]",
    "[Completed]",
    "[null]",
    "[]",
    "Not Available",
    "Not Applicable",
    "Not Collected",
    "Not Reported",
    "Not Released",
    "Unknown",
    "--",
)

_MSI = {
    "coding": {
        "MSI-H": "MSI-H",
        "MSI": "MSI-H",
        "MSI-High": "MSI-H",
        "Instable": "MSI-H",
        "Unstable": "MSI-H",
        "MSS": "MSS",
        "Stable": "MSS",
        "MSI-L": "MSS",
        "Indeterminate": None,
        "Do not report": None,
    }
}

#: Vocabulary name -> attribute ids, in order of preference, and how their cells are read. Only attributes whose
#: meaning and unit the portal's conventions fix stand here; a study's others are listed as not mapped.
ATTRIBUTES: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "age_years": (("AGE", "AGE_AT_DIAGNOSIS"), {"unit": "years"}),
    "sex": (("SEX", "GENDER"), {}),
    "ancestry": (("GENETIC_ANCESTRY_LABEL", "GENETIC_ANCESTRY"), {}),
    "histology": (("CANCER_TYPE_DETAILED",), {}),
    "tmb_mut_mb": (("TMB_NONSYNONYMOUS",), {}),
    "tmb_panel": (("GENE_PANEL",), {}),
    "mutation_count": (("MUTATION_COUNT",), {}),
    "fcna": (("FRACTION_GENOME_ALTERED", "FGA"), {"unit": "fraction"}),
    "msi_status": (("MSI_STATUS", "MSI_TYPE"), _MSI),
    "os_months": (("OS_MONTHS",), {"unit": "months"}),
    "os_event": (("OS_STATUS",), {}),
    "pfs_months": (("PFS_MONTHS",), {"unit": "months"}),
    "pfs_event": (("PFS_STATUS",), {}),
}

#: The raw column that holds the tumour type by the table of `tumor_types.yaml`.
TUMOR_TYPE_COLUMN = "(tumour type by CANCER_TYPE)"


def mapping_by_convention(attributes: set[str]) -> dict[str, Any]:
    """Mapping entries for the attributes of a study that have a convention."""
    found: dict[str, Any] = {}
    for name, (alternatives, recipe) in ATTRIBUTES.items():
        there = [a for a in alternatives if a in attributes]
        if len(there) == 1:
            found[name] = {"source": there[0], **recipe}
        elif there:
            found[name] = {"coalesce": [{"source": a, **recipe} for a in there]}
    return found


@dataclass(frozen=True)
class TumorTypes:
    """Tumour types of patients by the portal's names.

    Attributes
    ----------
    values : type of each row, "" where it is not known.
    unknown : name in the study -> rows, for names that the table does not have.
    by_rule : name in the study -> rows, for names that the table puts under "Other".
    source : the attribute or meta key that told.
    """

    values: pd.Series
    unknown: dict[str, int]
    by_rule: dict[str, int]
    source: str


def tumor_types(frame: pd.DataFrame, type_of_cancer: str, more: Mapping[str, str]) -> TumorTypes:
    """Translate CANCER_TYPE (with CANCER_TYPE_DETAILED where needed), or the study's type_of_cancer.

    Parameters
    ----------
    frame : joined clinical attributes.
    type_of_cancer : of meta_study.txt; used where the study has no CANCER_TYPE.
    more : further names -> tumour type; they win over the table.

    Raises
    ------
    ConfigError
        Where `more` names a tumour type that is not in the vocabulary.
    """
    table = _table()
    own = {str(name).casefold(): kind for name, kind in more.items()}
    for kind in own.values():
        if kind not in TUMOR_TYPES:
            raise ConfigError(f"cohort.tumor_types: {kind!r} is not one of {', '.join(TUMOR_TYPES)}.")
    if "CANCER_TYPE" not in frame:
        kind = own.get(type_of_cancer.casefold(), table["codes"].get(type_of_cancer.casefold(), ""))
        unknown = {type_of_cancer: len(frame)} if type_of_cancer and not kind else {}
        values = pd.Series([kind] * len(frame), index=frame.index, dtype="str")
        return TumorTypes(values, unknown, {}, "type_of_cancer of meta_study.txt")
    details = frame["CANCER_TYPE_DETAILED"] if "CANCER_TYPE_DETAILED" in frame else frame["CANCER_TYPE"]
    missing = {"", "na", "n/a", *(code.casefold() for code in MISSING_CODES)}
    kinds, unknown, by_rule = [], Counter[str](), Counter[str]()
    for name, detail in zip(frame["CANCER_TYPE"].str.strip(), details.str.strip(), strict=True):
        low, inside = name.casefold(), table["by_detail"].get(name.casefold())
        kind = own.get(low) or table["names"].get(low) or (inside or {}).get(detail.casefold(), "")
        if not kind and low not in missing:
            unknown[f"{name} ({detail})" if inside else name] += 1
        if kind == "Other" and low not in own:
            by_rule[name] += 1
        kinds.append(kind)
    return TumorTypes(pd.Series(kinds, dtype="str"), dict(unknown), dict(by_rule), "CANCER_TYPE")


@cache
def _table() -> dict[str, dict[str, Any]]:
    content = yaml.safe_load(files(__package__).joinpath("tumor_types.yaml").read_text(encoding="utf-8"))

    def inverted(lists: Mapping[str, list[str]]) -> dict[str, str]:
        return {name.casefold(): kind for kind, names in lists.items() for name in names}

    return {
        "names": inverted(content["names"]),
        "codes": inverted(content["codes"]),
        "by_detail": {name.casefold(): inverted(lists) for name, lists in content["by_detail"].items()},
    }
