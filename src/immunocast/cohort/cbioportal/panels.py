"""Gene panels: which one a sample was sequenced with, how large it is, and which genes it covers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from immunocast.cohort.cbioportal.clinical import SAMPLE
from immunocast.cohort.cbioportal.files import read_lines, unquote
from immunocast.cohort.cbioportal.meta import read_meta
from immunocast.errors import DataError, Problem

_SIZE = "number_of_profiled_coding_base_pairs"
#: Cells that name no panel; case does not count.
NO_PANEL = frozenset({"", "na", "n/a", "none", "nan", "unknown", "[not available]"})


@dataclass(frozen=True)
class Panel:
    """A gene panel, or a whole exome or genome.

    Attributes
    ----------
    name : as the study calls it.
    mb : size of the coding region that was sequenced, in megabases; None where nobody states it.
    genes : symbols that it covers; None where no list is at hand.
    is_whole : whole exome or genome: it covers every gene.
    source : where the size is from.
    """

    name: str
    mb: float | None
    genes: frozenset[str] | None = None
    is_whole: bool = False
    source: str = ""

    def covers(self, genes: frozenset[str]) -> bool | None:
        """Whether all of some genes are on the panel; None where that is not known."""
        if self.is_whole:
            return True
        return None if self.genes is None else genes <= self.genes


@dataclass(frozen=True)
class PanelFiles:
    """What the panel files of a study say: sizes in Mb and genes, by the panel's key."""

    sizes: dict[str, float] = field(default_factory=dict)
    genes: dict[str, frozenset[str]] = field(default_factory=dict)


def key_of(name: str) -> str:
    """A panel's name without case, spaces and punctuation."""
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def read_panel_files(paths: list[Path]) -> PanelFiles:
    """Read data_gene_panel_*.txt files.

    Raises
    ------
    DataError
        Where a file has no stable_id, no genes, or a size that is no number.
    """
    found = PanelFiles()
    for path in paths:
        meta = read_meta(path)
        key = key_of(meta.get("stable_id"))
        genes = frozenset(g for g in (unquote(cell) for cell in meta.get("gene_list").split("\t")) if g)
        if not key or not genes:
            lacking = "gene_list" if key else "stable_id"
            raise DataError(Problem(f"a gene panel file needs {lacking}", "Download it again", file=str(path)))
        found.genes[key] = genes
        size = meta.get(_SIZE)
        if not size:
            continue
        if not size.isdecimal() or int(size) == 0:
            mend = "Write the number of coding base pairs"
            raise DataError(Problem(f"{_SIZE} is not a number of base pairs", mend, str(path), value=size))
        found.sizes[key] = int(size) / 1e6
    return found


def find_panel(name: str, own_sizes: Mapping[str, float], study: PanelFiles) -> Panel:
    """A panel's size and genes: the configuration's size, then the study's file, then the table of known panels."""
    key, known = key_of(name), _known().get(key_of(name))
    own = next((float(mb) for label, mb in own_sizes.items() if key_of(label) == key), None)
    genes = study.genes.get(key)
    is_whole = bool(known and known["whole"])
    if own is not None:
        return Panel(name, own, genes, is_whole, "mutations.panel_sizes_mb")
    if key in study.sizes:
        return Panel(name, study.sizes[key], genes, is_whole, "the study's panel file")
    if known:
        return Panel(name, float(known["mb"]), genes, is_whole, str(known["source"]))
    return Panel(name, None, genes)


@cache
def _known() -> dict[str, dict[str, Any]]:
    content = yaml.safe_load(files(__package__).joinpath("panels.yaml").read_text(encoding="utf-8"))
    entries = [{**content["whole"], "whole": True}, *({**p, "whole": False} for p in content["panels"])]
    return {key_of(name): entry for entry in entries for name in entry["names"]}


def read_panel_matrix(path: Path, profile: str) -> dict[str, str | None]:
    """The panel of each sample for one molecular profile.

    Parameters
    ----------
    path : data_gene_panel_matrix.txt.
    profile : the profile's stable_id, e.g. "mutations".

    Returns
    -------
    Sample -> panel; None for NA (whole exome or genome, or not profiled).

    Raises
    ------
    DataError
        Where a column is missing, a line has another number of cells, or a sample is there twice.
    """
    lines = [line for line in read_lines(path) if line.text.strip() and not line.text.startswith("#")]
    rows = [[unquote(cell) for cell in line.text.split("\t")] for line in lines]
    header = rows[0] if rows else []
    for wanted in (SAMPLE, profile):
        if wanted not in header:
            mend = f"Columns there: {', '.join(header[:8])}. The profile's name is the stable_id of its meta file"
            raise DataError(Problem("there is no such column", mend, file=str(path), column=wanted))
    place, at = header.index(SAMPLE), header.index(profile)
    found: dict[str, str | None] = {}
    ragged = [line.number for line, row in zip(lines, rows, strict=True) if len(row) != len(header)]
    if ragged:
        message = f"{len(ragged)} lines have another number of cells than the header ({len(header)})"
        raise DataError(Problem(message, "Download it again", file=str(path), rows=tuple(ragged)))
    for line, row in zip(lines[1:], rows[1:], strict=True):
        sample, panel = row[place], row[at]
        if sample in found:
            mend = "Keep one line a sample"
            raise DataError(
                Problem("a sample is there twice", mend, str(path), column=SAMPLE, rows=(line.number,), value=sample)
            )
        found[sample] = None if panel.casefold() in NO_PANEL else panel
    return found
