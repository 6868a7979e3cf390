"""From counted mutations to the TMB of each sample: who was sequenced, on which panel, how large it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from immunocast.cohort.cbioportal.maf import MafCounts
from immunocast.cohort.cbioportal.panels import Panel, PanelFiles, find_panel
from immunocast.cohort.cbioportal.rule import TmbRule
from immunocast.cohort.checks import finding

#: Barcodes of TCGA name the vial, portion and plate after the sample; the portal keeps the sample.
_TCGA_SAMPLE = len("TCGA-A1-A0SB-01")


@dataclass(frozen=True)
class Profiled:
    """What a study says of sequencing, apart from the MAF.

    Attributes
    ----------
    listed : samples of the case list; None without one.
    matrix : sample -> panel (None for NA), of the gene panel matrix; None without one.
    matrix_is_lost : a meta file names a matrix, and it is not there: the panels are not known.
    meta_panel : gene_panel of the MAF's meta file, "" where there is none.
    clinical : sample -> GENE_PANEL of the clinical sample file ("" for none).
    files : the study's panel files.
    """

    listed: frozenset[str] | None
    matrix: Mapping[str, str | None] | None
    matrix_is_lost: bool
    meta_panel: str
    clinical: Mapping[str, str]
    files: PanelFiles


@dataclass(frozen=True)
class SampleMutations:
    """The MAF's answer for each clinical sample.

    Attributes
    ----------
    frame : index the samples; columns mutation_count, tmb_mut_mb, tmb_panel and gene flags; missing where the
        sample was not sequenced or the value is not known.
    checks : what was left out, assumed or not found.
    """

    frame: pd.DataFrame
    checks: list[dict[str, Any]]


def sample_mutations(
    counts: MafCounts, samples: list[str], profiled: Profiled, rule: TmbRule, file: str, cohort_id: str
) -> SampleMutations:
    """TMB, mutation count, panel and gene flags of the clinical samples.

    Parameters
    ----------
    counts : of the MAF.
    samples : ids of the clinical sample file.
    profiled : what the study says of sequencing.
    rule : sizes and assumptions.
    file, cohort_id : for messages.
    """
    return _Step(counts, samples, profiled, rule, file, cohort_id).run()


class _Step:
    def __init__(
        self, counts: MafCounts, samples: list[str], profiled: Profiled, rule: TmbRule, file: str, cohort_id: str
    ):
        self.counts, self.samples, self.profiled, self.rule = counts, samples, profiled, rule
        self.file, self.cohort_id = file, cohort_id
        self.checks: list[dict[str, Any]] = []
        self.panels: dict[str, Panel] = {}

    def run(self) -> SampleMutations:
        self.tell_rows()
        of_barcode = self.match_barcodes()
        counted = {sample: self.counts.counts[barcode] for barcode, sample in of_barcode.items()}
        sequenced = self.sequenced(set(counted))
        panels = {sample: self.panel(sample) for sample in self.samples if sample in sequenced}
        self.tell_panels(panels)
        frame = pd.DataFrame(index=pd.Index(self.samples, dtype="str"))
        n = [counted.get(s, 0) if s in sequenced else None for s in self.samples]
        frame["mutation_count"] = pd.Series(n, index=frame.index, dtype="Float64")
        size = [self.size(panels[s]) if s in sequenced else np.nan for s in self.samples]
        frame["tmb_mut_mb"] = frame["mutation_count"].to_numpy("float64", na_value=np.nan) / np.array(size)
        frame["tmb_panel"] = pd.Series([p.name if (p := panels.get(s)) else None for s in self.samples], frame.index)
        if self.counts.has_genes:
            self.flags(frame, of_barcode, panels)
        return SampleMutations(frame, self.checks)

    def tell(self, code: str, severity: str, message: str, **more: Any) -> None:
        self.checks.append(finding(code, severity, f"{self.file}: {message}", cohort_id=self.cohort_id, **more))

    # -- rows -----------------------------------------------------------------------------------------------

    def tell_rows(self) -> None:
        counts, broken = self.counts, self.counts.broken
        lost = []
        if broken.n:
            shown = ", ".join(map(str, broken.rows[:8]))
            ends = "; the last line ends early, the file seems to be cut off" if broken.cut_off else ""
            where = f" (lines {shown}{' and others' if broken.n > len(broken.rows[:8]) else ''})" if shown else ""
            lost.append(f"{broken.n:,} with another number of cells than the header{where}{ends}")
        if counts.no_barcode:
            lost.append(f"{counts.no_barcode:,} without a sample barcode")
        if lost:
            n = broken.n + counts.no_barcode
            self.tell("IC-MAF-001", "warning", f"rows were left out: {' and '.join(lost)}", n=n)
        if counts.unknown:
            listed = ", ".join(f"{kind!r} ({n:,})" for kind, n in list(counts.unknown.items())[:6])
            message = f"classes that the MAF format does not have were not counted: {listed}"
            self.tell("IC-MAF-002", "warning", message, n=sum(counts.unknown.values()))
        if counts.repeats:
            message = f"{counts.repeats:,} rows repeat a change of the same sample and were counted once"
            self.tell("IC-MAF-003", "info", message, n=counts.repeats)
        if counts.not_compared:
            message = f"{counts.not_compared:,} counted rows tell no position or allele: repeats would not be seen"
            self.tell("IC-MAF-003", "info", message, n=counts.not_compared)
        for status, n in counts.left_out.items():
            self.tell("IC-MAF-008", "info", f"{n:,} rows of Mutation_Status {status!r} were left out by rule", n=n)

    def match_barcodes(self) -> dict[str, str]:
        """MAF barcode -> clinical sample; the same name, or a TCGA barcode that begins with it."""
        known, found, strange = set(self.samples), {}, []
        shortened: dict[str, list[str]] = {}
        for barcode in self.counts.counts:
            if barcode in known:
                found[barcode] = barcode
            elif barcode.startswith("TCGA-") and barcode[:_TCGA_SAMPLE] in known:
                shortened.setdefault(barcode[:_TCGA_SAMPLE], []).append(barcode)
            else:
                strange.append(barcode)
        for sample, barcodes in shortened.items():
            if len(barcodes) == 1 and sample not in found:
                found[barcodes[0]] = sample
            else:
                strange += barcodes  # two aliquots of one sample: their sum would count mutations twice
        if shortened:
            n = sum(len(b) for b in shortened.values())
            message = f"{n} TCGA barcodes were matched to samples by their first {_TCGA_SAMPLE} characters"
            self.tell("IC-MAF-011", "info", message, n=n)
        if strange:
            n = sum(self.counts.counts[b] for b in strange)
            listed = ", ".join(strange[:5]) + (" ..." if len(strange) > 5 else "")
            message = (
                f"{len(strange)} of {len(self.counts.counts)} samples are not in the clinical file and were not used, "
                f"with {n:,} counted mutations: {listed}"
            )
            self.tell("IC-MAF-004", "warning", message, n=len(strange))
        return found

    # -- who was sequenced ----------------------------------------------------------------------------------

    def sequenced(self, in_maf: set[str]) -> set[str]:
        listed, matrix = self.profiled.listed, self.profiled.matrix
        with_panel = {s for s, panel in (matrix or {}).items() if panel}
        known = set(self.samples)
        if listed is None and matrix is None:
            message = (
                "there is no case list of sequenced samples and no gene panel matrix. Assumed: the samples of the MAF "
                "were sequenced; of the others it is not known, so their TMB is missing, not 0"
            )
            self.tell("IC-MAF-005", "warning", message, n=len(known - in_maf))
        elif listed is not None:
            extra = sorted((in_maf | with_panel) & known - listed)
            if extra:
                message = (
                    f"{len(extra)} samples with mutations or a panel are not in the case list of sequenced samples; "
                    f"taken as sequenced: {', '.join(extra[:5])}{' ...' if len(extra) > 5 else ''}"
                )
                self.tell("IC-MAF-007", "warning", message, n=len(extra))
            lost = sorted(listed - known)
            if lost:
                message = f"{len(lost)} samples of the case list are not in the clinical file: {', '.join(lost[:5])}"
                self.tell("IC-MAF-014", "info", message + (" ..." if len(lost) > 5 else ""), n=len(lost))
        return (with_panel | in_maf | (listed or frozenset())) & known

    # -- panels ---------------------------------------------------------------------------------------------

    def panel(self, sample: str) -> Panel | None:
        """The panel of a sequenced sample; None where nobody names it and none is assumed."""
        profiled = self.profiled
        name = (profiled.matrix or {}).get(sample) or profiled.meta_panel or profiled.clinical.get(sample)
        if not name and not profiled.matrix_is_lost:
            name = self.rule.default_panel
        if not name:
            return None
        if name not in self.panels:
            self.panels[name] = find_panel(name, self.rule.panel_sizes_mb, profiled.files)
        return self.panels[name]

    def size(self, panel: Panel | None) -> float:
        """Megabases to divide by; NaN where TMB is not computed."""
        if panel is None or panel.mb is None or panel.mb < self.rule.min_panel_mb:
            return np.nan
        return panel.mb

    def tell_panels(self, panels: Mapping[str, Panel | None]) -> None:
        profiled = self.profiled
        unknown = sum(panel is None for panel in panels.values())
        if unknown:
            why = (
                "the gene panel matrix that a meta file names is not there"
                if profiled.matrix_is_lost
                else "the study names no panel and `mutations.default_panel` is null"
            )
            message = f"the panel of {unknown} sequenced samples is not known ({why}): their TMB is missing"
            self.tell("IC-MAF-005", "warning", message, column="tmb_mut_mb", n=unknown)
        named = profiled.meta_panel or any(profiled.clinical.get(s) for s in panels)
        assumed = [
            s
            for s, panel in panels.items()
            if panel is not None
            and not ((profiled.matrix or {}).get(s) or profiled.meta_panel or profiled.clinical.get(s))
        ]
        if assumed:
            size = panels[assumed[0]]
            mb = "size not known" if size is None or size.mb is None else f"{size.mb:g} Mb"
            by_rule = profiled.matrix is not None or named
            because = "the study names no panel for them" if by_rule else "the study has no gene panel matrix"
            message = f"{len(assumed)} sequenced samples are taken as {self.rule.default_panel} ({mb}): {because}"
            code, severity = ("IC-MAF-012", "info") if by_rule else ("IC-MAF-005", "warning")
            self.tell(code, severity, message, column="tmb_panel", n=len(assumed))
        sizes = Counter(panel.name for panel in panels.values() if panel is not None)
        by_name = {panel.name: panel for panel in panels.values() if panel is not None}
        for name, n in sorted(sizes.items()):
            panel = by_name[name]
            if panel.mb is None:
                message = (
                    f"the size of panel {name} is not known, so {n} samples have no TMB: "
                    f"set `mutations: {{panel_sizes_mb: {{{name}: MEGABASES}}}}`"
                )
                self.tell("IC-MAF-006", "warning", message, column="tmb_mut_mb", n=n)
            elif panel.mb < self.rule.min_panel_mb:
                message = (
                    f"panel {name} has {panel.mb:g} Mb, under {self.rule.min_panel_mb:g} Mb: "
                    f"TMB is not computed for {n} samples"
                )
                self.tell("IC-MAF-006", "warning", message, column="tmb_mut_mb", n=n)
            elif not panel.is_whole:
                message = f"TMB of {n} samples on {name} is divided by {panel.mb:g} Mb ({panel.source})"
                self.tell("IC-MAF-013", "info", message, column="tmb_mut_mb", n=n)

    # -- genes ----------------------------------------------------------------------------------------------

    def flags(self, frame: pd.DataFrame, of_barcode: Mapping[str, str], panels: Mapping[str, Panel | None]) -> None:
        """A flag is known where its genes are known to be on the panel, with a mutation or without."""
        for name, wanted in self.rule.counting().flags.items():
            has = {of_barcode[b] for b in self.counts.flags[name] if b in of_barcode}
            covered = {s for s, panel in panels.items() if panel is not None and panel.covers(wanted.genes)}
            values = [float(s in has) if s in covered else None for s in self.samples]
            frame[name] = pd.Series(values, index=frame.index, dtype="Float64")
            lost = len(panels) - len(covered)
            if lost:
                genes = ", ".join(sorted(wanted.genes))
                message = f"{name} is missing for {lost} sequenced samples: no gene list shows {genes} on their panel"
                self.tell("IC-MAF-009", "info", message, column=name, n=lost)
