"""Imputed constants: values that were put in for patients who were never measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from immunocast.cohort.checks.atoms import Atom, find_atoms, habit_of_heaping, repeated_fine_values
from immunocast.cohort.checks.findings import Part
from immunocast.cohort.checks.registry import Check, register
from immunocast.cohort.checks.usual import ZERO_IS_NATURAL
from immunocast.cohort.vocabulary import VOCABULARY, label

register(
    [
        Check(
            "IC-CONST-001", "warning", "a measured column has one value for nearly everybody",
            "A number that should differ between patients is the same for (nearly) all of them: whoever published "
            "the file put in a constant where the test was not done.",
            "A model takes the constant for a measurement, and the column tells the cohorts apart by nothing else.",
            "Set the values to missing in the mapping (`corrections: [{column: ..., imputed: VALUE, because: ...}]`). "
            "Unless waived, the analysis view does it itself and adds a measured-flag.",
            "8 patients or more measured, one value in 95 % of them; 0 and the vocabulary's limits do not count where "
            "they are natural (TPS 0, TMB 0).",
        ),
        Check(
            "IC-CONST-002", "warning", "one value in more patients than its distribution explains",
            "A value inside the distribution is shared by more patients than rounding, digit preference and panel "
            "lattices explain: a constant or a median was imputed for part of the patients.",
            "Imputed values dilute the effect of the marker and hide that it is missing, often not at random.",
            "Find out which patients were measured, and set the others to missing. Unless waived, the analysis view "
            "sets all patients with this value to missing (some of them may have been measured) and adds a "
            "measured-flag.",
            "Binomial tail against local density x resolution (the step of counts over a panel's size, where nine "
            "values in ten are such) x the column's own heaping, p < 0.00001 after correction "
            "for the distinct values; at least 5 patients and 2 % of the measured beyond the expected, and 1.3 times "
            "the expected. Also within each tumour type (imputed by group). Columns with under 15 distinct values "
            "(classes, ECOG, bins) are left alone. Values imputed by regression are all different: no rule here can "
            "see them.",
        ),
        Check(
            "IC-CONST-003", "warning", "repeated values with more decimals than measurements have",
            "Several patients share values that are written with two decimals more than the measured ones: "
            "means, of all or by group, were imputed.",
            "As for IC-CONST-002.",
            "As for IC-CONST-002.",
            "Half of the patients or more have at most three decimals; values with two decimals more come in groups of "
            "3 patients or more, 5 in all, and are no lattice of counts over a panel size.",
        ),
        Check(
            "IC-CONST-004", "info", "values are capped",
            "The largest (or smallest) value is shared by more patients than the tail explains: values beyond a bound "
            "were set to it, or an assay has a limit of detection.",
            "The true values beyond the bound are lost: a model can't be compared there, and an effect of extreme "
            "values can't be seen.",
            "Nothing, if the models cap at the same bound; else ask for the values as measured.",
            "As IC-CONST-002, for the largest or smallest value; limits of the vocabulary and natural zeros excluded.",
        ),
        Check(
            "IC-CONST-005", "warning", "a missing code poses as a value",
            "A value like 999, 99 or 0 stands far outside of all other values, as codes for missing do.",
            "One 999 is enough to bend a mean, a scale or a linear model.",
            "Declare it in the mapping: `{source: ..., missing: [999]}`. Unless waived, the analysis view sets these "
            "values to missing and adds a measured-flag.",
            "Values of 9, 99, 999, 9999, 888 or 8888 at least twice (999 and above: three times) the next lower "
            "value; 0 in 2 "
            "patients or more where 0 is impossible and the next value is at least a tenth of the median.",
        ),
        Check(
            "IC-CONST-006", "info", "a column is the same for everybody",
            "All patients with a known value have the same one: a cohort of one sex, one stage, one drug.",
            "The column tells nothing within this cohort, and the cohort tells nothing about the column.",
            "Nothing, if the cohort is so; else look at the coding.",
            "20 patients or more known, one category.",
        ),
    ]
)  # fmt: skip

#: Numbers that people estimate and write down in round figures: 50 and 80 % are heavy by habit.
DIGIT_PREFERENCE = frozenset({"pdl1_tps", "pdl1_cps", "pack_years", "tumor_burden_mm", "age_years"})
MIN_GROUP_ROWS = 8
_CODES = (99.0, 888.0, 999.0, 8888.0, 9999.0, 99999.0)


@dataclass(frozen=True)
class Imputed:
    """Values of one column that are no measurements; `mask` is aligned with the part's frame."""

    code: str
    column: str
    mask: np.ndarray
    message: str


def check_constants(part: Part) -> Iterator[dict[str, Any]]:
    """Findings on constants of one cohort, imputed ones apart (see `imputed_values`)."""
    for column in part.features:
        kind = VOCABULARY[column].kind
        if kind in ("category", "binary", "text", "integer"):
            known = part.frame[column].dropna()
            if len(known) >= 20 and known.nunique() == 1:
                words = f"{label(column)} is {known.iloc[0]} for all {len(known)} patients in whom it is known."
                yield part.found("IC-CONST-006", words, column, n=len(known))
        if kind in ("number", "integer"):
            values = part.number(column)
            for atom in find_atoms(values[~np.isnan(values)]):
                if (
                    atom.at != "inside"
                    and not _natural(column, atom.value)
                    and not _is_code(values, column, atom.value)
                ):
                    side = "largest" if atom.at == "top" else "smallest"
                    words = (
                        f"{label(column)} is {atom.value:g}, the {side} value, for {atom.n} patients; about "
                        f"{atom.expected:.0f} would be expected: capped there, or a limit of detection."
                    )
                    yield part.found("IC-CONST-004", words, column, mask=values == atom.value)


def imputed_values(part: Part) -> Iterator[Imputed]:
    """Values of one cohort that were put in, column by column, without a look at any outcome."""
    for column in part.features:
        if VOCABULARY[column].kind not in ("number", "integer"):
            continue
        values = part.number(column)
        known = ~np.isnan(values)
        n = int(known.sum())
        if n < 8:
            continue
        top, k = _most_common(values[known])
        if k >= 0.95 * n:
            if VOCABULARY[column].kind == "number" and not _natural(column, top):
                words = (
                    f"{label(column)} is {top:g} for {k / n:.0%} of the measured patients: an imputed constant that "
                    "poses as data?"
                )
                yield Imputed("IC-CONST-001", column, values == top, words)
            continue
        codes = [v for v in (*_CODES, 0.0) if (values == v).any() and _is_code(values, column, v)]
        if codes:
            mask = np.isin(values, codes)
            words = (
                f"{label(column)} is {_listed(codes)} for {int(mask.sum())} patients, far from all others: a code for "
                "missing?"
            )
            yield Imputed("IC-CONST-005", column, mask, words)
            values = np.where(mask, np.nan, values)
            known = ~np.isnan(values)
        fine = repeated_fine_values(values[known])
        if len(fine):
            mask = np.isin(values, fine)
            words = (
                f"{label(column)} has {len(fine)} value{'s' * (len(fine) > 1)} with more decimals than the measured "
                f"ones ({_listed(fine)}), shared by {int(mask.sum())} patients: imputed means?"
            )
            yield Imputed("IC-CONST-003", column, mask, words)
            values = np.where(mask, np.nan, values)
        atoms = [a for a in _atoms_of_all_and_groups(part, column, values) if not _natural(column, a[1].value)]
        if atoms:
            mask = np.zeros(len(values), dtype=bool)
            for group, atom in atoms:
                mask |= group & (values == atom.value)
            yield Imputed("IC-CONST-002", column, mask, _atom_words(column, [a for _, a in atoms], mask, n))


def _atoms_of_all_and_groups(part: Part, column: str, values: np.ndarray) -> list[tuple[np.ndarray, Atom]]:
    everyone = ~np.isnan(values)
    masked = 0 if column in DIGIT_PREFERENCE else 3
    found = [(everyone, a) for a in find_atoms(values[everyone], masked=masked) if a.at == "inside"]
    if found:
        return found
    types = part.text("tumor_type")
    groups = [(types == name).to_numpy(dtype=bool) & everyone for name in sorted(types.dropna().unique())]
    groups = [g for g in groups if 10 <= g.sum() < everyone.sum()]
    large = [g for g in groups if g.sum() >= 40]
    habit: float | None = None
    for group in groups:
        levels, counts = np.unique(values[group], return_counts=True)
        top, second = np.sort(counts)[-1], np.sort(counts)[-2] if len(counts) > 1 else 0
        if top >= 0.95 * group.sum() and VOCABULARY[column].kind == "number":
            found.append((group, Atom(float(levels[counts.argmax()]), int(top), 1.0, "inside")))
        elif group.sum() >= 40 and top >= max(MIN_GROUP_ROWS, 2 * second):
            # a lattice of panel counts is coarse in a small group: there an atom must stand out from all other values
            habit = habit_of_heaping(values[everyone], masked) if habit is None else habit
            atoms = find_atoms(values[group], masked=masked, habit=habit, n_tests=len(large))
            found += [(group, a) for a in atoms if a.at == "inside" and a.n == top]
    return found


def _atom_words(column: str, atoms: list[Atom], mask: np.ndarray, n: int) -> str:
    if len(atoms) == 1:
        (atom,) = atoms
        return (
            f"{label(column)} is exactly {atom.value:g} for {atom.n} patients ({atom.n / n:.0%}); about "
            f"{atom.expected:.0f} would be expected from the values around it: imputed in part of the patients?"
        )
    values = sorted({a.value for a in atoms})
    return (
        f"{label(column)} is exactly one of {_listed(values)} for {int(mask.sum())} patients; about "
        f"{sum(a.expected for a in atoms):.0f} would be expected from the values around them: imputed in part of the "
        "patients?"
    )


def _listed(values: Any) -> str:
    shown = ", ".join(f"{v:.6g}" for v in list(values)[:5])
    return shown + (f" and {len(values) - 5} more" if len(values) > 5 else "")


def _most_common(values: np.ndarray) -> tuple[float, int]:
    levels, counts = np.unique(values, return_counts=True)
    place = int(counts.argmax())
    return float(levels[place]), int(counts[place])


def _natural(column: str, value: float) -> bool:
    """Whether many patients may truly have this value: a natural zero, or a limit of the scale."""
    spec = VOCABULARY[column]
    if value == 0:
        return column in ZERO_IS_NATURAL
    return (
        (spec.unit in ("%",) and value == spec.high)
        or (spec.high == 1 and value == 1)
        or (column == "pdl1_cps" and value == 100)
    )


def _is_code(values: np.ndarray, column: str, value: float) -> bool:
    """Whether a value looks like a code for missing: it is one, and stands apart from all others."""
    known = values[~np.isnan(values)]
    if value in _CODES:
        low, rest = known[known < value], known[known != value]
        if len(low) < 8 or (rest > value).any():
            return False
        return bool(value >= (3 if value >= 888 else 2) * low.max() and np.median(low) < value / 5)
    if value == 0 and column not in ZERO_IS_NATURAL and (VOCABULARY[column].low or 0) >= 0:
        if VOCABULARY[column].low is None:
            return False
        rest = known[known > 0]
        return bool(len(rest) >= 8 and (known == 0).sum() >= 2 and rest.min() >= np.median(rest) / 10)
    return False
