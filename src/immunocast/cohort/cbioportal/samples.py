"""Which samples were sequenced, and which sample stands for a patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from immunocast.cohort.cbioportal.clinical import PATIENT, SAMPLE, ClinicalTable
from immunocast.cohort.cbioportal.meta import Study, read_meta
from immunocast.errors import ConfigError, DataError

_CATEGORY = "all_cases_with_mutation_data"


@dataclass(frozen=True)
class CaseList:
    """The samples that a study lists as sequenced for mutations."""

    path: Path
    samples: frozenset[str]


def sequenced_list(study: Study) -> CaseList | None:
    """The case list of samples with mutation data.

    It is the list whose stable_id is `<study>_sequenced`; without one, a list of category
    all_cases_with_mutation_data.

    Raises
    ------
    DataError
        Where a case list cannot be read.
    """
    folder = study.folder / "case_lists"
    if not folder.is_dir():
        return None
    lists = [read_meta(path) for path in sorted(folder.glob("*.txt"))]
    wanted = [m for m in lists if m.get("stable_id") == f"{study.study_id}_sequenced"]
    wanted += [m for m in lists if m.get("case_list_category") == _CATEGORY]
    if not wanted:
        return None
    found = wanted[0]
    ids = frozenset(filter(None, (cell.strip() for cell in found.get("case_list_ids").split("\t"))))
    if not ids:
        raise DataError(f"{found.path}: the list case_list_ids is empty. Download the case list again.")
    return CaseList(found.path, ids)


@dataclass(frozen=True)
class Chosen:
    """The sample of each patient.

    Attributes
    ----------
    taken : positions in the sample table, in its order.
    several : patient id -> (sample taken, samples left out), for patients with several samples.
    """

    taken: pd.Index
    several: dict[str, tuple[str, tuple[str, ...]]]


def choose(table: ClinicalTable, sequenced: frozenset[str] | None, prefer: Sequence[Mapping[str, object]]) -> Chosen:
    """One sample a patient: sequenced before others, then by preference, then the first in the file.

    Parameters
    ----------
    table : the sample file.
    sequenced : samples with mutation data; None where the study does not tell.
    prefer : rules `{column, values}`, the first counts most; a sample whose cell is an earlier one of `values`
        (case does not count) comes first. A rule whose column the study lacks says nothing.

    Raises
    ------
    ConfigError
        Where a rule has other keys.
    """
    frame = table.frame
    keys: list[np.ndarray] = [np.zeros(len(frame)) if sequenced is None else ~frame[SAMPLE].isin(sequenced).to_numpy()]
    for rule in prefer:
        values = rule.get("values") if isinstance(rule, Mapping) else None
        if set(rule) != {"column", "values"} or isinstance(values, str) or not isinstance(values, Sequence):
            raise ConfigError(f"cohort.prefer_samples: {rule!r} must be {{column: NAME, values: [FIRST, SECOND]}}.")
        if rule["column"] not in frame:
            continue
        ranks = {str(v).casefold(): i for i, v in enumerate(values)}
        keys.append(frame[rule["column"]].str.casefold().map(ranks).fillna(len(ranks)).to_numpy())
    order = np.lexsort([np.arange(len(frame)), *reversed(keys)])
    ranked = frame.iloc[order]
    taken = ranked.index[~ranked[PATIENT].duplicated()].sort_values()
    of_patient: dict[str, list[str]] = {}
    for patient, sample in zip(frame[PATIENT], frame[SAMPLE], strict=True):
        of_patient.setdefault(patient, []).append(sample)
    chosen = dict(zip(frame[PATIENT].loc[taken], frame[SAMPLE].loc[taken], strict=True))
    several = {
        patient: (chosen[patient], tuple(s for s in samples if s != chosen[patient]))
        for patient, samples in of_patient.items()
        if len(samples) > 1
    }
    return Chosen(taken, several)
