"""The register of all checks: code, severity, what a finding means, why it matters, how to mend it, and the rule.

The documentation (`docs/checks.md`), `immunocast check --explain CODE` and the report are made from it, so that
they cannot say anything else than the code.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "info"]

#: Families in the order in which the documentation lists them.
FAMILIES = {
    "CONST": "Constants that pose as measurements",
    "UNIT": "Units",
    "DEP": "Columns computed from other columns",
    "SURV": "Times and events that contradict each other",
    "FLAG": "Event flags",
    "LEAK": "Columns that carry the outcome",
    "MISS": "Missing values",
    "RANGE": "Implausible values",
    "CAT": "Categories",
    "SHIFT": "Sites and batches",
    "DUP": "The same patient twice in a cohort",
    "LINK": "The same patient in two cohorts",
    "OUT": "Outcomes",
    "EVENTS": "Size",
    "FILE": "Files and mappings",
    "STUDY": "Study folders of cBioPortal",
    "MAF": "Mutations of study folders",
    "EXPR": "Expression matrices",
    "VIEW": "Views",
    "NOTE": "Notes",
    "WAIVE": "Waivers",
    "PERF": "Results",
}


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes
    ----------
    code : IC-FAMILY-NNN, stable.
    severity : "error" stops a run unless waived, "warning" is told, "info" is for the record.
    title : the finding in a few words.
    means : what a finding says about the data.
    why : what it does to a model or an estimate.
    mend : what the user can do.
    rule : when it fires, with its thresholds.
    """

    code: str
    severity: Severity
    title: str
    means: str
    why: str
    mend: str
    rule: str

    @property
    def family(self) -> str:
        """The middle part of the code."""
        return self.code.split("-")[1]


CHECKS: dict[str, Check] = {}


def register(checks: Iterable[Check]) -> None:
    """Add checks to the register.

    Raises
    ------
    ValueError
        For a code that is there already, has another form, or belongs to no family; and for empty texts.
    """
    for check in checks:
        if check.code in CHECKS:
            raise ValueError(f"check {check.code} is registered twice")
        if not re.fullmatch(r"IC-[A-Z]+-\d{3}", check.code) or check.family not in FAMILIES:
            raise ValueError(f"check {check.code}: the code must be IC-FAMILY-NNN with one of {', '.join(FAMILIES)}")
        empty = [k for k in ("title", "means", "why", "mend", "rule") if not getattr(check, k).strip()]
        if empty:
            raise ValueError(f"check {check.code}: {', '.join(empty)} is empty")
        CHECKS[check.code] = check
