"""The `expression:` block of a cohort's YAML, checked as a whole."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from immunocast.cohort.expression.genes import gene_sets, known_symbols, plain
from immunocast.cohort.hints import did_you_mean
from immunocast.errors import ConfigError

Unit = Literal["TPM", "FPKM", "CPM", "counts"]
UNITS: tuple[Unit, ...] = ("TPM", "FPKM", "CPM", "counts")
ORIENTATIONS = ("samples_in_rows", "genes_in_rows")
_KEYS = ("file", "sheet", "sample_id", "orientation", "unit", "log", "scores", "min_genes", "aliases")
_LOG = re.compile(r"(log2|log10|ln)\(x(?:\+(\d*\.?\d+))?\)")
_BASES = {"log2": 2.0, "log10": 10.0, "ln": math.e}


@dataclass(frozen=True)
class Log:
    """A logarithm of expression: log(x + offset) to a base."""

    base: float
    offset: float

    def __str__(self) -> str:
        name = next(n for n, b in _BASES.items() if b == self.base)
        return f"{name}(x+{self.offset:g})" if self.offset else f"{name}(x)"


@dataclass(frozen=True)
class ExpressionSettings:
    """How a matrix is read and which scores are made of it.

    Attributes
    ----------
    file : the matrix, relative to the cohort's data folder.
    sheet : of a workbook.
    sample_id : column of the cohort's file (or name of the vocabulary) that holds the samples' names.
    orientation : one of `ORIENTATIONS`; None to detect it.
    unit : one of `UNITS`; None to detect it.
    log : the logarithm that the file holds; False for none; None to detect it.
    scores : score -> form, None for the first form that the matrix allows.
    min_genes : score -> smallest number of its genes, in place of the number in `gene_sets.yaml`.
    aliases : further names of genes, in the form of `genes.plain`, -> symbol.
    """

    file: str
    sheet: str | None = None
    sample_id: str = "patient_id"
    orientation: str | None = None
    unit: Unit | None = None
    log: Log | Literal[False] | None = None
    scores: dict[str, str | None] = field(default_factory=dict)
    min_genes: dict[str, int] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)


def parse_expression(content: Any) -> ExpressionSettings:
    """Check an `expression:` block.

    Parameters
    ----------
    content : a mapping with the keys of `ExpressionSettings`; only `file` is needed. `log` is written as the
        formula, e.g. "log2(x+0.001)", or "none". `scores` is a list, or a mapping score -> form.

    Raises
    ------
    ConfigError
        With everything that is wrong.
    """
    problems: list[str] = []
    if not isinstance(content, Mapping):
        raise ConfigError(f"expression: must be a mapping of keys, e.g. {{file: expression.csv}}, not {content!r}.")
    for key in content:
        if key not in _KEYS:
            hint = did_you_mean(str(key), _KEYS) or f"Known keys: {', '.join(_KEYS)}."
            problems.append(f"unknown key {key!r}. {hint}")
    if not content.get("file") or not isinstance(content["file"], str):
        problems.append("file: name the file of the matrix")
    for key in ("sheet", "sample_id"):
        if content.get(key) is not None and not isinstance(content[key], str):
            problems.append(f"{key}: must be text, not {content[key]!r}")
    orientation = _one_of(content, "orientation", ORIENTATIONS, problems)
    unit = _one_of(content, "unit", UNITS, problems)
    settings = ExpressionSettings(
        file=str(content.get("file", "")),
        sheet=content.get("sheet"),
        sample_id=str(content.get("sample_id") or "patient_id").strip(),
        orientation=orientation,
        unit=unit,
        log=_log(content.get("log"), problems),
        scores=_scores(content.get("scores"), problems),
        min_genes=_min_genes(content.get("min_genes"), problems),
        aliases=_aliases(content.get("aliases"), problems),
    )
    if problems:
        listed = "\n".join(f"  - expression: {p}" for p in problems)
        raise ConfigError(f"The expression settings have {len(problems)} problem(s):\n{listed}")
    return settings


def _one_of(content: Mapping[str, Any], key: str, known: Sequence[str], problems: list[str]) -> Any:
    value = content.get(key)
    if value is not None and value not in known:
        problems.append(f"{key}: {value!r} is unknown; it is one of {', '.join(known)}")
        return None
    return value


def _log(value: Any, problems: list[str]) -> Log | Literal[False] | None:
    if value is None:
        return None
    if value is False or str(value).strip().lower() == "none":
        return False
    match = _LOG.fullmatch(re.sub(r"\s", "", str(value)).lower())
    if not match:
        problems.append(f"log: {value!r} is no formula; write none, log2(x+1), log2(x+0.001), log10(x+1) or ln(x+1)")
        return None
    return Log(_BASES[match[1]], float(match[2] or 0))


def _scores(value: Any, problems: list[str]) -> dict[str, str | None]:
    sets = gene_sets()
    if value is None:
        return dict.fromkeys(sets)
    if isinstance(value, Mapping):
        wanted = {str(k): None if v is None else str(v) for k, v in value.items()}
    elif isinstance(value, Sequence) and not isinstance(value, str):
        wanted = {str(v): None for v in value}
    else:
        problems.append(f"scores: must be a list of scores, or score: form, not {value!r}")
        return {}
    if not wanted:
        problems.append("scores: name at least one, or leave the key out for all")
    for score, form in wanted.items():
        if score not in sets:
            problems.append(f"scores: {score!r} is unknown; known are {', '.join(sets)}")
        elif form is not None and form not in sets[score].forms:
            problems.append(f"scores.{score}: {form!r} is unknown; its forms are {', '.join(sets[score].forms)}")
    return {score: wanted[score] for score in sets if score in wanted}


def _min_genes(value: Any, problems: list[str]) -> dict[str, int]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        problems.append(f"min_genes: write score: number, not {value!r}")
        return {}
    sets, found = gene_sets(), {}
    for score, number in value.items():
        if score not in sets:
            problems.append(f"min_genes: {score!r} is unknown; known are {', '.join(sets)}")
        elif isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= len(sets[score].genes):
            problems.append(f"min_genes.{score}: must be 1 to {len(sets[score].genes)}, not {number!r}")
        elif score == "cyt_score" and number < 2:
            problems.append("min_genes.cyt_score: a geometric mean of GZMA and PRF1 needs both")
        else:
            found[str(score)] = number
    return found


def _aliases(value: Any, problems: list[str]) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        problems.append(f"aliases: write name in the file: symbol, not {value!r}")
        return {}
    for name, gene in value.items():
        if gene not in known_symbols():
            problems.append(
                f"aliases.{name}: no score needs a gene {gene!r}. {did_you_mean(str(gene), known_symbols())}"
            )
    return {plain(str(name)): str(gene) for name, gene in value.items()}
