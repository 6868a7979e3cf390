"""Mutations of each sample, counted from a MAF of any size in one pass and bounded memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from immunocast.cohort.cbioportal.distinct import Repeats, hash_texts, mix
from immunocast.cohort.cbioportal.files import unquote
from immunocast.cohort.cbioportal.maf_stream import Broken, MafStream
from immunocast.errors import DataError, Problem

#: Classes of the MAF format (GDC MAF 1.0, MAF 2.4), beside those that may count.
KNOWN_CLASSES = (
    "3'Flank",
    "3'UTR",
    "5'Flank",
    "5'UTR",
    "De_novo_Start_InFrame",
    "De_novo_Start_OutOfFrame",
    "Frame_Shift_Del",
    "Frame_Shift_Ins",
    "Fusion",
    "IGR",
    "In_Frame_Del",
    "In_Frame_Ins",
    "Intron",
    "Missense_Mutation",
    "Nonsense_Mutation",
    "Nonstop_Mutation",
    "RNA",
    "Silent",
    "Splice_Region",
    "Splice_Site",
    "Start_Codon_Del",
    "Start_Codon_Ins",
    "Start_Codon_SNP",
    "Stop_Codon_Del",
    "Stop_Codon_Ins",
    "Targeted_Region",
    "Translation_Start_Site",
)

_SAMPLE, _CLASS, _STATUS, _GENE = "Tumor_Sample_Barcode", "Variant_Classification", "Mutation_Status", "Hugo_Symbol"
_CHANGE = ("Chromosome", "Start_Position", "Reference_Allele", "Tumor_Seq_Allele1", "Tumor_Seq_Allele2")
_NO_TEXT = frozenset({"", "na", "n/a", "nan", "null", ".", "-1", "unknown"})
#: Above these shares a MAF is not what it should be, and no TMB is made of it.
_MAX_BROKEN, _MAX_UNKNOWN = 0.05, 0.5


@dataclass(frozen=True)
class GeneFlag:
    """A flag of a sample: a mutation of one of these classes in one of these genes."""

    genes: frozenset[str]
    classes: frozenset[str]


@dataclass(frozen=True)
class CountingRule:
    """What is counted.

    Attributes
    ----------
    counted : consequence classes that count; case is ignored.
    status_left_out : values of Mutation_Status whose rows are left out; case is ignored.
    flags : name -> genes and classes.
    """

    counted: tuple[str, ...]
    status_left_out: tuple[str, ...]
    flags: Mapping[str, GeneFlag] = field(default_factory=dict)


@dataclass(frozen=True)
class MafCounts:
    """What a MAF says of its samples.

    Attributes
    ----------
    counts : sample barcode -> counted mutations (each change once).
    flags : flag -> barcodes of samples that have it.
    n_rows : rows that could be used or were left out by rule (broken lines not among them).
    broken : lines with another number of cells than the header.
    no_barcode : rows without a sample barcode.
    left_out : Mutation_Status -> rows left out for it.
    unknown : class -> rows, for classes that are neither counted nor known.
    repeats : counted rows that repeat a change of the same sample.
    not_compared : counted rows without position or allele: a repeat among them would not be seen.
    has_genes : the MAF has Hugo_Symbol, so the flags say something.
    digest : SHA-256 of the file.
    """

    counts: dict[str, int]
    flags: dict[str, frozenset[str]]
    n_rows: int
    broken: Broken
    no_barcode: int
    left_out: dict[str, int]
    unknown: dict[str, int]
    repeats: int
    not_compared: int
    has_genes: bool
    digest: str


def count_mutations(path: Path, rule: CountingRule) -> MafCounts:
    """Count the mutations of each sample of a MAF.

    A change (chromosome, start, reference and new allele) that a sample has twice, e.g. for two genes or callers,
    counts once. The file is read in blocks of 1 MB; memory grows with the number of samples only.

    Parameters
    ----------
    path : MAF, plain or .gz.
    rule : what counts.

    Raises
    ------
    DataError
        Where the file is no MAF, where more than 5 % of its lines are broken, or where the classes of more than
        half of its rows are unknown.
    """
    with Repeats() as repeats:
        counter = _Counter(MafStream(path, (_SAMPLE, _CLASS), (_STATUS, _GENE, *_CHANGE)), rule, repeats)
        return counter.run()


class _Codes:
    """Numbers texts from 0 in the order of their first appearance."""

    def __init__(self) -> None:
        self.of: dict[str, int] = {}

    def __call__(self, column: Any) -> np.ndarray:
        """The number of each cell of a pyarrow column."""
        encoded = column.dictionary_encode()
        texts = [unquote(text) for text in encoded.dictionary.to_pylist()]
        numbers = [self.of.setdefault(text, len(self.of)) for text in texts]
        return np.asarray(numbers, dtype="int64")[encoded.indices.to_numpy(zero_copy_only=False)]


class _Counter:
    def __init__(self, stream: MafStream, rule: CountingRule, repeats: Repeats):
        self.stream, self.rule, self.repeats = stream, rule, repeats
        self.samples, self.classes, self.statuses = _Codes(), _Codes(), _Codes()
        genes = sorted(frozenset().union(*(flag.genes for flag in rule.flags.values())))
        self.genes = [text for gene in genes for text in (gene, f'"{gene}"')]
        self.table = np.zeros((0, 0), dtype="int64")  # rows by sample and class, those left out by status apart
        self.left_out = np.zeros(0, dtype="int64")
        self.flags: dict[str, set[int]] = {name: set() for name in rule.flags}
        self.not_compared = 0

    def run(self) -> MafCounts:
        stream, rule = self.stream, self.rule
        compare = all(name in stream.columns for name in ("Chromosome", "Start_Position", "Reference_Allele")) and any(
            name in stream.columns for name in ("Tumor_Seq_Allele1", "Tumor_Seq_Allele2")
        )
        for batch in stream.blocks():
            if batch.num_rows:
                self.block(batch, compare)
        class_names = list(self.classes.of)
        is_counted = self.among(self.classes, rule.counted)
        known = is_counted | self.among(self.classes, KNOWN_CLASSES)
        names = list(self.samples.of)
        has_barcode = np.array([name.casefold() not in _NO_TEXT for name in names], dtype=bool)
        by_class = self.table[has_barcode].sum(axis=0)
        unknown = {class_names[i] or "(empty)": int(by_class[i]) for i in np.flatnonzero(~known) if by_class[i]}
        repeated = self.repeats.count(len(names))
        counted = self.table[:, is_counted].sum(axis=1) - repeated
        statuses = list(self.statuses.of)
        self.refuse_if_strange(sum(unknown.values()), int(by_class.sum()), unknown)
        return MafCounts(
            {name: int(counted[i]) for i, name in enumerate(names) if has_barcode[i]},
            {flag: frozenset(names[i] for i in found if has_barcode[i]) for flag, found in self.flags.items()},
            stream.n_rows,
            stream.broken,
            int(self.table[~has_barcode].sum()),
            {statuses[i]: int(n) for i, n in enumerate(self.left_out) if n},
            dict(sorted(unknown.items(), key=lambda item: (-item[1], item[0]))),
            int(repeated[has_barcode].sum()),
            self.not_compared,
            _GENE in stream.columns,
            stream.digest,
        )

    def block(self, batch: Any, compare: bool) -> None:
        import pyarrow as pa

        columns = self.stream.columns
        sample, kind = self.samples(batch.column(_SAMPLE)), self.classes(batch.column(_CLASS))
        used = np.ones(len(sample), dtype=bool)
        if _STATUS in columns:
            status = self.statuses(batch.column(_STATUS))
            out = self.among(self.statuses, self.rule.status_left_out)
            used = ~out[status]
            self.left_out = _grown(self.left_out, (len(out),))
            self.left_out += np.bincount(status[~used], minlength=len(out))
        shape = (len(self.samples.of), len(self.classes.of))
        self.table = _grown(self.table, shape)
        self.table += np.bincount(sample[used] * shape[1] + kind[used], minlength=shape[0] * shape[1]).reshape(shape)
        counted = used & self.among(self.classes, self.rule.counted)[kind]
        if _GENE in columns and self.genes:
            self.flag(batch.column(_GENE), sample, kind, used)
        rows = np.flatnonzero(counted)
        if not compare:
            self.not_compared += len(rows)
        elif len(rows):
            keys, usable = self.keys(batch.take(pa.array(rows)))
            self.not_compared += int((~usable).sum())
            group = sample[rows][usable]
            self.repeats.add(mix(keys[usable], group), group)

    def flag(self, genes: Any, sample: np.ndarray, kind: np.ndarray, used: np.ndarray) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        is_flagged = pc.is_in(genes, value_set=pa.array(self.genes)).to_numpy(zero_copy_only=False)
        rows = np.flatnonzero(is_flagged & used)
        found = [unquote(text) for text in genes.take(pa.array(rows)).to_pylist()]
        for name, wanted in self.rule.flags.items():
            has = np.array([gene in wanted.genes for gene in found], dtype=bool)
            has &= self.among(self.classes, wanted.classes)[kind[rows]]
            self.flags[name].update(np.unique(sample[rows][has]).tolist())

    @staticmethod
    def among(codes: _Codes, wanted: Any) -> np.ndarray:
        """For each text that has a number: is it one of the wanted, case aside."""
        folded = {w.casefold() for w in wanted}
        return np.array([text.casefold() in folded for text in codes.of], dtype=bool)

    def keys(self, batch: Any) -> tuple[np.ndarray, np.ndarray]:
        """Hash of each row's change, and whether the row tells it."""
        chromosome, known = _hashed(batch.column("Chromosome"), lambda t: t.casefold().removeprefix("chr"))
        start, start_known = _positions(batch.column("Start_Position"))
        reference, _ = _hashed(batch.column("Reference_Allele"), str.upper)
        new, new_known = np.zeros_like(reference), np.zeros(len(reference), dtype=bool)
        # the new allele is the one that differs from the reference; callers write it into either column
        for name in ("Tumor_Seq_Allele2", "Tumor_Seq_Allele1"):
            if name in self.stream.columns:
                allele, there = _hashed(batch.column(name), str.upper)
                take = ~new_known & there & (allele != reference)
                new[take], new_known = allele[take], new_known | take
        return mix(mix(mix(chromosome, start), reference), new), known & start_known & new_known

    def refuse_if_strange(self, n_unknown: int, n: int, unknown: dict[str, int]) -> None:
        broken, rows = self.stream.broken, self.stream.n_rows
        path = str(self.stream.path)
        if broken.n > _MAX_BROKEN * (rows + broken.n):
            message = (
                f"{broken.n:,} of {rows + broken.n:,} rows have another number of cells than the header "
                f"(the first one {broken.cells})"
            )
            mend = "The file is cut off or was changed by a spreadsheet: download it again"
            raise DataError(Problem(message, mend, path, rows=tuple(broken.rows)))
        if n_unknown > _MAX_UNKNOWN * n:
            listed = ", ".join(repr(c) for c in list(unknown)[:6])
            message = f"the classes of {n_unknown:,} of {n:,} rows are unknown: {listed}"
            mend = (
                "Say which of them count in `mutations.counted_classes`, or annotate the MAF with the standard classes"
            )
            raise DataError(Problem(message, mend, path, column=_CLASS))


def _grown(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The array with zeros added at its ends."""
    if array.shape == shape:
        return array
    larger = np.zeros(shape, dtype=array.dtype)
    larger[tuple(slice(n) for n in array.shape)] = array
    return larger


def _hashed(column: Any, normal: Any) -> tuple[np.ndarray, np.ndarray]:
    """Hash of each cell after `normal`, and whether there is text in it."""
    encoded = column.dictionary_encode()
    texts = np.array([normal(unquote(t)) for t in encoded.dictionary.to_pylist()], dtype=object)
    there = np.array([t.casefold() not in _NO_TEXT for t in texts], dtype=bool)
    indices = encoded.indices.to_numpy(zero_copy_only=False)
    return hash_texts(texts)[indices], there[indices]


def _positions(column: Any) -> tuple[np.ndarray, np.ndarray]:
    """Positions as numbers, and whether each is one; the slow way only where a cell is no plain number."""
    import pyarrow as pa

    try:
        numbers = column.cast(pa.int64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        cells = [unquote(t) for t in column.to_pylist()]
        numbers = np.array(
            [int(c) if c.isascii() and c.isdigit() and len(c) < 19 else -1 for c in cells], dtype="int64"
        )
    return numbers, numbers > 0
