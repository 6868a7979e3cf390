"""The parts of a checked column mapping, as the reader uses them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from immunocast.cohort.values import Recipe

if TYPE_CHECKING:
    from immunocast.cohort.derive import Rule


@dataclass(frozen=True)
class ColumnSpec:
    """Where one column of the vocabulary, or one input of a derivation, comes from.

    Exactly one of `source`, `constant`, `alternatives` and `derivation` says it.

    Attributes
    ----------
    name : the vocabulary's name (or a measured-flag); for an input, its name in the derivation.
    source : header in the file.
    recipe : how cells become values.
    constant : value for every patient.
    optional : the file may lack the column.
    prefix_with_cohort : put the cohort's id before each value (ids that are unique within a cohort only).
    alternatives : the first that is known gives the value, row by row.
    derivation : how the column follows from others.
    """

    name: str
    source: str | None
    recipe: Recipe
    constant: Any = None
    optional: bool = False
    prefix_with_cohort: bool = False
    alternatives: tuple[ColumnSpec, ...] = ()
    derivation: Derivation | None = None

    def parts(self) -> Iterator[ColumnSpec]:
        """The specs that name a header: this one, or those of its alternatives and inputs."""
        if self.source is not None:
            yield self
        for part in (*self.alternatives, *(self.derivation.inputs if self.derivation else ())):
            yield from part.parts()

    @property
    def headers(self) -> list[str]:
        """All headers that the column is made of."""
        return list(dict.fromkeys(str(p.source) for p in self.parts()))

    @property
    def origin(self) -> str:
        """The headers as a message names them."""
        return " + ".join(self.headers) or self.name


@dataclass(frozen=True)
class Derivation:
    """A rule of `cohort.derive`, the specs of its inputs in the rule's order, and its settings."""

    rule: Rule
    inputs: tuple[ColumnSpec, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RowFilter:
    """Rows that are not read, and why.

    Attributes
    ----------
    column : header in the file.
    codes : cells, as `code_texts` spells them.
    keep : True to keep only rows with these cells, False to drop them.
    because : the reason, told in the checks.
    """

    column: str
    codes: tuple[frozenset[str], ...]
    keep: bool
    because: str


@dataclass(frozen=True)
class Correction:
    """What the analysis view does to a column that is not what its name says, and why.

    One of: `drop` (not read), `factor` (the unit that the values really have), `imputed` (these values, or
    all where True, were put in by whoever published the file: they become missing).
    """

    column: str
    because: str
    drop: bool = False
    factor: float | None = None
    imputed: bool | tuple[float, ...] = False


@dataclass(frozen=True)
class Sheet:
    """How one sheet of a workbook is read: the mapping's columns with the sheet's own changes."""

    title: str | None
    cohort_id: str | None
    columns: dict[str, ColumnSpec]
    absent: frozenset[str] = frozenset()
    corrections: tuple[Correction, ...] = ()
    default: bool = True
    notes: tuple[str, ...] = ()
    rows: tuple[RowFilter, ...] = ()


@dataclass(frozen=True)
class Layout:
    """How a file is laid out; arguments of `cohort.sources.read_tables`, None for what the file's type says."""

    delimiter: str | None = None
    encoding: str | None = None
    header_row: int | None = None


@dataclass(frozen=True)
class ColumnMapping:
    """A checked mapping: `base` for files of one table, `sheets` for workbooks."""

    base: Sheet
    sheets: dict[str, Sheet] = field(default_factory=dict)
    vocabulary_names: bool = False
    missing: frozenset[str] = frozenset()
    layout: Layout = Layout()
    decimal: str = "."
