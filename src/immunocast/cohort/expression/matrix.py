"""From cells to a matrix of samples by genes: which way round it lies, and what its names mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from immunocast.cohort.expression import genes
from immunocast.cohort.expression.cells import Cells
from immunocast.errors import DataError, Problem

#: Columns beside the values in files with genes in rows; numbers under these names are no sample.
_ANNOTATIONS = frozenset(
    (
        *("entrez_gene_id", "entrez", "entrezid", "entrez_id", "hugo_symbol", "gene_id", "gene_name", "gene_symbol"),
        *("symbol", "gene", "id", "name", "description", "cytoband", "gene_type", "gene_biotype", "biotype", "chr"),
        *("chrom", "chromosome", "start", "end", "strand", "length", "gene_length", "width", "ensembl_id", "ensembl"),
        *("ensembl_gene_id", "transcript_id", "hgnc_id"),
    )
)
#: Rows that counting programs add: __no_feature (HTSeq), N_unmapped (STAR).
_COUNTER_ROWS = ("__", "N_unmapped", "N_multimapping", "N_noFeature", "N_ambiguous")


@dataclass(frozen=True)
class ExpressionMatrix:
    """Expression as the file gives it (unit and logarithm are not looked at).

    Attributes
    ----------
    file : name of the file.
    samples : (n,) names.
    values : (n, g) float64, C order; NaN for missing.
    names : (g,) names of genes, in the form of `genes.plain`; each once.
    index : symbol -> column of `values`, of the genes that scores need.
    orientation : "samples_in_rows" or "genes_in_rows", as it is in the file.
    told : what was passed over or merged, a sentence each.
    """

    file: str
    samples: list[str]
    values: np.ndarray
    names: list[str]
    index: dict[str, int]
    orientation: str
    told: list[str] = field(default_factory=list)


def to_matrix(
    cells: Cells, orientation: str | None = None, aliases: Mapping[str, str] | None = None
) -> ExpressionMatrix:
    """Find samples, genes and values.

    The rule of orientation: known symbols in the header row and in each text column are counted, and genes are
    where more are.

    Parameters
    ----------
    cells : as read.
    orientation : in place of that rule.
    aliases : further names of genes.

    Raises
    ------
    DataError
        Where no gene is known, both ways are equally likely, samples have no name or the same, or a cell is no
        finite number.
    """
    header_hits = {s for h in cells.headers if (s := genes.symbol(h, aliases))}
    column_hits = {
        j: {s for c in column if c and (s := genes.symbol(c, aliases))} for j, column in sorted(cells.text.items())
    }
    best = max(column_hits, key=lambda j: len(column_hits[j]), default=0)
    in_column = len(column_hits.get(best, ()))
    orientation = orientation or _orientation(cells, len(header_hits), in_column, best)
    build = _GenesInRows(cells, aliases) if orientation == "genes_in_rows" else _SamplesInRows(cells, aliases)
    if not (in_column if orientation == "genes_in_rows" else header_hits):
        raise DataError(_no_gene(cells, best, orientation))
    return build.matrix(best)


def _orientation(cells: Cells, in_header: int, in_column: int, column: int) -> str:
    if in_header == in_column == 0:
        raise DataError(_no_gene(cells, column, None))
    if in_header == in_column:
        raise DataError(
            Problem(
                f"{in_header} known genes stand in the header row and as many in column {column + 1}",
                "Say which it is: `orientation: samples_in_rows` or `orientation: genes_in_rows`",
                file=cells.file,
            )
        )
    return "samples_in_rows" if in_header > in_column else "genes_in_rows"


def _no_gene(cells: Cells, column: int, orientation: str | None) -> Problem:
    first = [c for c in cells.text.get(column, ()) if c][:4]
    where = {
        "samples_in_rows": "in the header row",
        "genes_in_rows": "in any column",
        None: "in the header row or in a column",
    }[orientation]
    mend = "Genes are known by HGNC symbols or human Ensembl gene ids; other names go into `aliases: {name: symbol}`"
    if any(c.upper().startswith("ENSMUS") for c in (*cells.headers, *first)):
        mend = "These are ids of mouse genes"
    elif first and all(c.isdigit() for c in first):
        mend = "Entrez ids are not read: add a column of symbols"
    elif orientation is not None:
        mend = "Leave `orientation` out, or correct it"
    shown = ", ".join([*cells.headers[1:4], "..."])
    return Problem(
        f"no gene of any score is {where} (header: {shown}; first names: {', '.join(first)})", mend, file=cells.file
    )


class _Builder:
    """What both orientations share: names of genes, duplicates, odd cells."""

    def __init__(self, cells: Cells, aliases: Mapping[str, str] | None):
        self.cells, self.aliases = cells, aliases
        self.told: list[str] = []

    def refuse(self, message: str, mend: str, rows: tuple[int, ...] = (), value: str | None = None) -> DataError:
        return DataError(Problem(message, mend, file=self.cells.file, rows=rows, value=value))

    def check_samples(self, names: list[str | None], rows: tuple[int, ...] | None) -> list[str]:
        """Names of samples, each there and each once."""
        where = "rows" if rows else "columns"
        empty = [i for i, n in enumerate(names) if not n or not n.strip()]
        if empty:
            at = tuple(rows[i] for i in empty) if rows else ()
            raise self.refuse(f"{len(empty)} {where} have no name of a sample", "Name every sample", at)
        plain = [str(n).strip() for n in names]
        twice = [n for n, count in Counter(plain).items() if count > 1]
        if twice:
            at = tuple(rows[i] for i, n in enumerate(plain) if n in twice) if rows else ()
            raise self.refuse(
                f"{len(twice)} samples are there more than once", "Keep one row or column a sample", at, twice[0]
            )
        return plain

    def check_cells(self, columns: list[int]) -> None:
        """Refuse cells that are no finite numbers."""
        problems: list[Problem] = []
        if not self.cells.odd and not np.isinf(self.cells.numbers).any():
            return
        for j in columns:
            odd = list(self.cells.odd.get(j, ()))
            infinite = np.isinf(self.cells.numbers[:, j])
            odd += [(int(i), str(self.cells.numbers[i, j])) for i in np.flatnonzero(infinite)]
            if odd:
                rows = tuple(int(self.cells.rows[i]) for i, _ in odd)
                comma = any("," in c for _, c in odd)
                mend = "Write decimal points, not commas" if comma else "Correct the cells, or leave them empty"
                problems.append(
                    Problem(
                        "no finite number", mend, self.cells.file, None, self.cells.headers[j] or "1", rows, odd[0][1]
                    )
                )
        if problems:
            raise DataError(problems[:20])

    def finish(
        self, samples: list[str], names: list[str | None], values: np.ndarray, orientation: str
    ) -> ExpressionMatrix:
        """Drop nameless genes, merge duplicates, index the genes of the scores. `values` is (n, len(names))."""
        raw = [(n or "").strip() for n in names]
        keep = [i for i, n in enumerate(raw) if n and not n.startswith(_COUNTER_ROWS)]
        nameless = sum(not n for n in raw)
        if nameless:
            self.told.append(f"{nameless} genes without a name are left out")
        if len(raw) - nameless - len(keep):
            self.told.append(f"{len(raw) - nameless - len(keep)} rows of the counting program are left out")
        dates = [n for n in raw if genes.looks_like_a_date(n)]
        if dates:
            self.told.append(
                f"{len(dates)} names are days that a spreadsheet made of genes ({dates[0]}); no score needs those genes"
            )
        found = {i: s for i in keep if (s := genes.symbol(raw[i], self.aliases))}
        if genes.looks_like_mouse([raw[i] for i in found if not raw[i].upper().startswith("ENSG")]):
            shown = ", ".join(raw[i] for i in list(found)[:3])
            raise self.refuse(
                f"the genes are written as those of mice ({shown})",
                "Scores are for human genes; write human symbols in capitals",
            )
        other = [f"{raw[i]} is {s}" for i, s in found.items() if genes.plain(raw[i]) != s][:5]
        if other:
            self.told.append("names read as symbols: " + ", ".join(other) + (" ..." if len(other) == 5 else ""))
        plain = [found.get(i) or genes.plain(raw[i]) for i in keep]
        values = np.ascontiguousarray(values if len(keep) == values.shape[1] else values[:, keep])
        values, plain = self._merge(values, plain)
        index = {name: i for i, name in enumerate(plain) if name in genes.known_symbols()}
        return ExpressionMatrix(self.cells.file, samples, values, plain, index, orientation, self.told)

    def _merge(self, values: np.ndarray, names: list[str]) -> tuple[np.ndarray, list[str]]:
        """A gene that is there more than once takes its largest value in each sample.

        The usual choice, the copy with the largest mean over the file, would make a score depend on the other
        patients; and the largest value stays the largest under any logarithm.
        """
        groups: dict[str, list[int]] = {}
        for i, name in enumerate(names):
            groups.setdefault(name, []).append(i)
        if len(groups) == len(names):
            return values, names
        merged = np.ascontiguousarray(values[:, [g[0] for g in groups.values()]])
        twice = [name for name, g in groups.items() if len(g) > 1]
        for k, g in enumerate(groups.values()):
            if len(g) > 1:
                merged[:, k] = np.fmax.reduce(values[:, g], axis=1)
        needed = sorted(n for n in twice if n in genes.known_symbols())
        which = f", among them {', '.join(needed)}" if needed else ""
        self.told.append(
            f"{len(twice)} genes are there more than once{which}: the largest value in each sample is taken"
        )
        return merged, list(groups)


class _GenesInRows(_Builder):
    def matrix(self, gene_column: int) -> ExpressionMatrix:
        cells = self.cells
        columns = [
            j
            for j, header in enumerate(cells.headers)
            if j != gene_column and header.strip().lower() not in _ANNOTATIONS and j not in cells.words
        ]
        if not columns:
            raise self.refuse("no column holds the values of a sample", "Give one column a sample")
        used = {gene_column, *columns}
        passed = [header for j, header in enumerate(cells.headers) if j not in used]
        if passed:
            self.told.append(f"columns that are no samples are passed over: {', '.join(passed[:5])}")
        samples = self.check_samples([cells.headers[j] for j in columns], None)
        self.check_cells(columns)
        names = cells.text[gene_column]
        return self.finish(samples, names, cells.numbers[:, columns].T, "genes_in_rows")


class _SamplesInRows(_Builder):
    def matrix(self, _: int) -> ExpressionMatrix:
        cells, headers = self.cells, self.cells.headers
        is_gene = [j for j, h in enumerate(headers) if genes.symbol(h, self.aliases)]
        if 0 in is_gene:
            raise self.refuse("there is no column of samples' names in front of the genes", "Put it first")
        # pandas writes the row numbers of a frame in front, without a header
        numbered = headers[0] in ("", "Unnamed: 0") and 0 not in cells.words and 1 in cells.words and 1 not in is_gene
        id_column = int(numbered)
        named = [
            j
            for j, h in enumerate(headers)
            if j != id_column
            and (j in is_gene or h.strip().lower() not in _ANNOTATIONS)
            and (j in is_gene or j not in cells.words)
        ]
        used = {id_column, *named}
        passed = [header for j, header in enumerate(headers) if j not in used]
        if passed:
            self.told.append(f"columns of text are passed over: {', '.join(passed[:5])}")
        rows = tuple(int(r) for r in cells.rows)
        samples = self.check_samples(cells.text[id_column], rows)
        self.check_cells(named)
        return self.finish(samples, [headers[j] for j in named], cells.numbers[:, named], "samples_in_rows")
