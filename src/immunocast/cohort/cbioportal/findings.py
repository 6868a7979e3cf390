"""What a reader collects on its way, and what is told of the study as a whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from immunocast.cohort.cbioportal.clinical import Joined
from immunocast.cohort.cbioportal.files import lfs_pointer
from immunocast.cohort.cbioportal.meta import Study
from immunocast.cohort.cbioportal.samples import Chosen
from immunocast.cohort.checks import finding


@dataclass
class Findings:
    """Rows of the checks table of one cohort; `pointers` are the git-LFS pointers that have been told."""

    cohort_id: str
    checks: list[dict[str, Any]] = field(default_factory=list)
    pointers: set[str] = field(default_factory=set)

    def tell(self, code: str, severity: str, message: str, **more: Any) -> None:
        """Add a finding."""
        self.checks.append(finding(code, severity, message, cohort_id=self.cohort_id, **more))


def tell_study(study: Study, found: Findings) -> None:
    """Data files that are not there or are git-LFS pointers, and what is wrong with the meta files."""
    for warning in study.warnings:
        found.tell("IC-STUDY-009", "warning", warning)
    absent, pointers = [], []
    for meta in study.metas:
        path = meta.data_path
        if path is None:
            continue
        if not path.is_file():
            if not path.with_name(path.name + ".gz").is_file():
                absent.append(f"{path.name} (named by {meta.path.name})")
        elif path.name not in found.pointers and lfs_pointer(path):
            pointers.append(path.name)
    if absent:
        message = f"{len(absent)} data files that meta files name are not in the folder: {', '.join(absent)}"
        found.tell("IC-STUDY-001", "info", message, n=len(absent))
    if pointers:
        message = f"{len(pointers)} data files that are not read here are git-LFS pointers: {', '.join(pointers)}"
        found.tell("IC-STUDY-001", "info", message, n=len(pointers))


def tell_samples(joined: Joined, chosen: Chosen, by_list: bool, found: Findings) -> None:
    """Patients with several samples, none, or no row of their own."""
    if chosen.several:
        n = sum(len(left) for _, left in chosen.several.values())
        shown = [f"{p}: {taken}, not {', '.join(left)}" for p, (taken, left) in list(chosen.several.items())[:3]]
        first = "sequenced samples first, then by `prefer_samples`" if by_list else "by `prefer_samples`"
        message = (
            f"{len(chosen.several)} patients have several samples; {n} samples were not used ({first}, then the first "
            f"in the file). {'; '.join(shown)}{' ...' if len(chosen.several) > 3 else ''}"
        )
        found.tell("IC-STUDY-003", "info", message, n=len(chosen.several), rows=chosen.several)
    if joined.no_sample:
        message = f"{len(joined.no_sample)} patients have no sample: their sample attributes and TMB are missing"
        found.tell("IC-STUDY-004", "warning", message, n=len(joined.no_sample), rows=joined.no_sample)
    if joined.no_patient_row:
        n = len(joined.no_patient_row)
        message = f"{n} patients have samples but no row in the patient file: their patient attributes are missing"
        found.tell("IC-STUDY-004", "warning", message, n=n, rows=joined.no_patient_row)
