"""Everything of a study that tells of sequencing: case list, gene panels, MAF."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from immunocast.cohort.cbioportal.clinical import SAMPLE, ClinicalTable
from immunocast.cohort.cbioportal.findings import Findings
from immunocast.cohort.cbioportal.maf import count_mutations
from immunocast.cohort.cbioportal.meta import DataFile, MetaFile, Study
from immunocast.cohort.cbioportal.panels import NO_PANEL, read_panel_files, read_panel_matrix
from immunocast.cohort.cbioportal.rule import TmbRule
from immunocast.cohort.cbioportal.samples import sequenced_list
from immunocast.cohort.cbioportal.tmb import Profiled, sample_mutations

_MAF_NAMES = ("data_mutations.txt", "data_mutations_extended.txt", "data_mutations.maf", "data_mutations_mskcc.txt")


@dataclass(frozen=True)
class Sequencing:
    """What is known of the samples' sequencing.

    Attributes
    ----------
    sequenced : samples with mutation data by case list and gene panel matrix; None where the study has neither.
    file : name of the MAF, "" where there is none.
    frame : index the samples, columns of the vocabulary; without columns where there is no MAF.
    read : the files that were read.
    digests : file name -> SHA-256, for files that were hashed while they were read.
    """

    sequenced: frozenset[str] | None
    file: str
    frame: pd.DataFrame
    read: tuple[Path, ...] = ()
    digests: dict[str, str] = field(default_factory=dict)

    def of(self, samples: pd.Series) -> pd.DataFrame:
        """Rows of these samples, in their order; missing for samples that are not known."""
        return self.frame.reindex(samples.to_numpy(dtype=object)).reset_index(drop=True)


def read_sequencing(study: Study, samples: ClinicalTable, rule: TmbRule, found: Findings) -> Sequencing:
    """Read the case list, the gene panels and the MAF of a study; git-LFS pointers among them are told.

    Raises
    ------
    DataError
        Where one of these files is there and cannot be read.
    """
    read: list[Path] = []
    cases = sequenced_list(study)
    if cases is not None:
        read.append(cases.path)
    meta = _profile(study)
    profile = (meta.get("stable_id") if meta else "") or "mutations"
    matrix_file = study.data_file(study.find("GENE_PANEL_MATRIX"), "data_gene_panel_matrix.txt")
    matrix = None
    if matrix_file is not None and is_usable(matrix_file, "the panels of samples are not known", found):
        matrix = read_panel_matrix(matrix_file.path, profile.removeprefix(f"{study.study_id}_"))
        read.append(matrix_file.path)
    with_panel = frozenset(s for s, panel in (matrix or {}).items() if panel)
    listed = cases.samples if cases else None
    sequenced = None if listed is None and matrix is None else (listed or frozenset()) | with_panel
    maf = _maf(study, meta)
    if not rule.read or maf is None or not is_usable(maf, "no TMB is made from mutations", found):
        return Sequencing(sequenced, "", pd.DataFrame(index=pd.Index([], dtype="str")), tuple(read))
    panels = _panel_files(study, found)
    counts = count_mutations(maf.path, rule.counting())
    profiled = Profiled(
        listed,
        matrix,
        matrix_file is not None and matrix is None,
        meta.get("gene_panel") if meta else "",
        _clinical_panels(samples),
        read_panel_files(panels),
    )
    result = sample_mutations(counts, list(samples.frame[SAMPLE]), profiled, rule, maf.path.name, found.cohort_id)
    found.checks += result.checks
    return Sequencing(sequenced, maf.path.name, result.frame, (*read, *panels), {maf.path.name: counts.digest})


def _profile(study: Study) -> MetaFile | None:
    """The mutation profile: the one called "mutations", else the first."""
    metas = study.find("MUTATION_EXTENDED")
    plain = [m for m in metas if m.get("stable_id").removeprefix(f"{study.study_id}_") == "mutations"]
    return next(iter(plain or metas), None)


def _maf(study: Study, meta: MetaFile | None) -> DataFile | None:
    """The MAF; also where it was compressed after the meta file had been written."""
    maf = study.data_file([meta] if meta else [], *_MAF_NAMES, *(f"{name}.gz" for name in _MAF_NAMES))
    if maf is not None and not maf.is_there:
        packed = maf.path.with_name(maf.path.name + ".gz")
        return DataFile(packed, maf.meta) if packed.is_file() else maf
    return maf


def _clinical_panels(samples: ClinicalTable) -> dict[str, str]:
    """Sample -> GENE_PANEL of the clinical file, for samples that have one."""
    frame = samples.frame
    if "GENE_PANEL" not in frame:
        return {}
    return {s: p for s, p in zip(frame[SAMPLE], frame["GENE_PANEL"], strict=True) if p.casefold() not in NO_PANEL}


def _panel_files(study: Study, found: Findings) -> list[Path]:
    paths = [p for p in sorted(study.folder.glob("data_gene_panel_*.txt")) if p.name != "data_gene_panel_matrix.txt"]
    return [p for p in paths if is_usable(DataFile(p, None), "its size and genes are not known", found)]


def is_usable(file: DataFile, otherwise: str, found: Findings) -> bool:
    """Whether an optional file holds data; a git-LFS pointer is told. An absent one is told by its meta file."""
    if not file.is_there:
        return False
    pointer = file.pointer
    if pointer is None:
        return True
    problem = pointer.problem
    message = f"{file.path.name}: {problem.message}; {otherwise}. {problem.mend}"
    found.pointers.add(file.path.name)
    found.tell("IC-STUDY-002", "warning", message, n=1)
    return False
