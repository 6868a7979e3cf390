"""Gene sets, and the names under which a file may know their genes. All of it stands in `gene_sets.yaml`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

#: ENSG00000153563 or ENSG00000153563.11, alone or before a "|".
_ENSEMBL = re.compile(r"(ENSG\d{11})(\.\d+)?(?=$|\|)", re.IGNORECASE)
#: Excel reads MARCH1 or SEPT2 as a day. No gene of a score is called so.
_DATE = re.compile(r"\d{1,2}-[A-Z]{3}|[A-Z]{3}-\d{1,2}|\d{4}-\d{2}-\d{2}( 00:00:00)?", re.IGNORECASE)


@dataclass(frozen=True)
class GeneSet:
    """The genes of one score.

    Attributes
    ----------
    score : column of the vocabulary.
    source : where the set comes from.
    forms : ways to compute it, the preferred one first.
    weights : gene -> weight; 1 for each gene of an unweighted set.
    min_genes : with fewer genes the score is refused.
    housekeeping, min_housekeeping : reference genes of the weighted form.
    """

    score: str
    source: str
    forms: tuple[str, ...]
    weights: dict[str, float]
    min_genes: int
    housekeeping: tuple[str, ...] = ()
    min_housekeeping: int = 0

    @property
    def genes(self) -> tuple[str, ...]:
        """Symbols of the set."""
        return tuple(self.weights)


@cache
def _content() -> dict[str, Any]:
    import yaml

    return yaml.safe_load(files("immunocast.cohort.expression").joinpath("gene_sets.yaml").read_text(encoding="utf-8"))


@cache
def gene_sets() -> dict[str, GeneSet]:
    """All sets by score, in the vocabulary's order."""
    return {
        score: GeneSet(
            score,
            " ".join(entry["source"].split()),
            tuple(entry["forms"]),
            dict(entry.get("weights") or dict.fromkeys(entry.get("genes", ()), 1.0)),
            int(entry["min_genes"]),
            tuple(entry.get("housekeeping", ())),
            int(entry.get("min_housekeeping", 0)),
        )
        for score, entry in _content()["scores"].items()
    }


@cache
def _names() -> dict[str, str]:
    """Every known name, in the form of `plain` -> symbol."""
    symbols = [g for s in gene_sets().values() for g in (*s.genes, *s.housekeeping)]
    names = {plain(g): g for g in symbols}
    for table in ("aliases", "ensembl"):
        names |= {plain(name): symbol for symbol, others in _content()[table].items() for name in others}
    return names


@lru_cache(maxsize=1 << 17)  # a file of 20,000 genes asks for each name several times
def plain(name: str) -> str:
    """A gene's name without what files do to it: case, R's dots, versions, "|" and what follows.

    >>> plain("HLA.DQA1"), plain("ENSG00000153563.11"), plain("CD8A|925"), plain(" cd8a ")
    ('HLA-DQA1', 'ENSG00000153563', 'CD8A', 'CD8A')
    """
    name = name.strip()
    ensembl = _ENSEMBL.match(name)
    if ensembl:
        return ensembl[1].upper()
    return re.sub(r"[._ ]", "-", name.split("|", 1)[0].strip().upper())


def symbol(name: str, aliases: Mapping[str, str] | None = None) -> str | None:
    """The symbol of a gene that a score needs, None for any other gene.

    Parameters
    ----------
    name : as the file writes it.
    aliases : further names, in the form of `plain`, -> symbol.

    >>> symbol("C14orf102"), symbol("PD-L1"), symbol("GAPDH")
    ('NRDE2', 'CD274', None)
    """
    key = plain(name)
    return (aliases or {}).get(key) or _names().get(key)


@cache
def known_symbols() -> frozenset[str]:
    """Symbols of all genes that any score needs."""
    return frozenset(_names().values())


def looks_like_a_date(name: str) -> bool:
    """Whether a spreadsheet has made a day of a gene's name, e.g. "1-Mar".

    >>> looks_like_a_date("1-Mar"), looks_like_a_date("CD8A")
    (True, False)
    """
    return _DATE.fullmatch(name.strip()) is not None


def looks_like_mouse(names: list[str]) -> bool:
    """Whether most of some recognised names are written as mouse genes are, e.g. "Cd8a".

    >>> looks_like_mouse(["Cd8a", "Gzma", "Prf1"]), looks_like_mouse(["CD8A", "cd27", "C14orf102"])
    (True, False)
    """
    letters = [re.sub(r"[^A-Za-z]", "", n) for n in names]
    mouse = [n for n in letters if len(n) > 1 and n[0].isupper() and n[1:].islower()]
    return len(mouse) > len(names) / 2
