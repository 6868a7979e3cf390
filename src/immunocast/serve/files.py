"""Score a file of new patients with a model of a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from immunocast.cohort.checks import given_as_fraction
from immunocast.cohort.expression import forms_of
from immunocast.cohort.tabular import NewPatients, RefusedRow, read_patients
from immunocast.errors import ConfigError, DataError, NotFoundError, Problem
from immunocast.models.bundle import load_bundle
from immunocast.models.composed import COMPOSED, parts_of
from immunocast.models.recalibration import Recalibrator
from immunocast.models.recalibrators_file import load_recalibrators
from immunocast.serve.score import SCORE_COLUMNS, score_patients
from immunocast.store.runfolder import RunFolder


@dataclass(frozen=True)
class FileScores:
    """What `score_file` returns.

    Attributes
    ----------
    scores : a row a row of the file, in its order, with `SCORE_COLUMNS` and `source_row` (the header is row
        1); refused rows have the status "refused" and the reason.
    refused : what is wrong, one entry for each thing.
    warnings : what should be looked at though rows were scored, as sentences.
    model : name of the model that scored.
    synthetic : True where the model learned from simulated patients only.
    """

    scores: pd.DataFrame
    refused: Sequence[RefusedRow]
    warnings: Sequence[str]
    model: str
    synthetic: bool


def score_file(
    file: Path,
    mapping: dict,
    run: RunFolder,
    model: str | None = None,
    *,
    sheet: str | None = None,
    expression: Path | None = None,
    cohort_id: str | None = None,
    recalibration: str = "none",
) -> FileScores:
    """Read new patients, refuse what cannot be read, score the rest.

    Parameters
    ----------
    file : CSV, TSV, Parquet or XLSX.
    mapping : column mapping (`cohort.mapping_files.load_mapping`).
    run : run folder that holds the model.
    model : name of a model of the run; None for its headline model.
    sheet : of a workbook with several.
    expression : matrix of the patients' expression, read as the mapping's `expression` says.
    cohort_id : of all patients; None for the mapped column, or the file's name.
    recalibration : recalibrator of the run's final model, e.g. "platt"; "none" for the model's own output.

    Raises
    ------
    NotFoundError
        Where there is no such file, or the run has no such model or recalibrator.
    DataError
        Where the file as a whole cannot be used.
    ConfigError
        Where the file has none of the columns that the model can use.
    """
    _require_file(file)
    about = run.manifest()
    names = list(about.get("models", {}))
    name = model or about["headline_model"]
    if name not in names:
        raise NotFoundError(f"Run {run.path.name} has no model {name!r}. It has: {', '.join(names)}.")
    fitted = load_bundle(run.bundle_path(name, "final"))
    recalibrator = _recalibrator(run, name, recalibration)
    patients, refused, rows, unread = read_new_patients(
        file, mapping, run, fitted, name, sheet=sheet, expression=expression, cohort_id=cohort_id
    )
    scores = score_patients(patients, fitted, name, about["endpoint"], recalibrator)
    scores.insert(0, "source_row", rows)
    by_row: dict[int, list[RefusedRow]] = {}
    for problem in refused:
        by_row.setdefault(problem.rows[0], []).append(problem)
    lost = pd.DataFrame(
        [
            {
                "source_row": row,
                "patient_id": problems[0].patient_id,
                "model": name,
                "recalibration": recalibration,
                "endpoint": about["endpoint"],
                "status": "refused",
                "reason": "; ".join(_reason(p) for p in problems),
            }
            for row, problems in by_row.items()
        ],
        columns=["source_row", *SCORE_COLUMNS],
    )
    parts = [part for part in (scores, lost) if len(part)]
    both = pd.concat(parts, ignore_index=True).sort_values("source_row", ignore_index=True)
    unread = [*unread, *strangers(patients, fitted)]
    return FileScores(both, refused, unread, name, bool(about["provenance"]["synthetic"]))


def read_new_patients(
    file: Path,
    mapping: dict,
    run: RunFolder,
    fitted: Any,
    name: str,
    *,
    sheet: str | None = None,
    expression: Path | None = None,
    cohort_id: str | None = None,
) -> NewPatients:
    """Read the patients of a file for a model, and refuse what would be another scale than it learned.

    Parameters
    ----------
    file, mapping, run, sheet, expression, cohort_id : as for `score_file`.
    fitted, name : the model that is to score them.

    Raises
    ------
    NotFoundError, DataError, ConfigError
        As `score_file`.
    """
    _require_file(file)
    found = read_patients(file, mapping, sheet=sheet, expression=expression, cohort_id=cohort_id)
    patients, refused = found.table, found.refused
    _check_forms(patients, run, fitted.spec.inputs)
    if fractions := given_as_fraction(patients):
        raise DataError(
            Problem(
                f"all values of {fractions[0]} lie between 0 and 1, though its unit is percent",
                f"If they are fractions, map the column with a unit: `{fractions[0]}: {{source: ..., unit: fraction}}`",
                file.name,
                column=fractions[0],
            )
        )
    if not len(patients) and not refused:
        raise ConfigError(f"{file.name} holds no patient.")
    if not any(c in patients for c in fitted.spec.inputs):
        raise ConfigError(
            f"{file.name} has none of the columns that {name} reads ({', '.join(fitted.spec.inputs)}). "
            "Name them as the vocabulary does, or give a --mapping."
        )
    return found


def _require_file(file: Path) -> None:
    if not file.is_file():
        raise NotFoundError(f"{file} is a folder." if file.is_dir() else f"There is no file {file}.")


def _recalibrator(run: RunFolder, model: str, name: str) -> Recalibrator | None:
    """The recalibrator of a run's final model; None for the model's own output."""
    if name == "none":
        return None
    found = load_recalibrators(run.bundle_path(model, "final"))
    if name not in found:
        site = " It needs outcomes of the new site, which a table to score does not have." if "_site" in name else ""
        raise NotFoundError(
            f"Run {run.path.name} has no recalibrator {name!r} of {model}.{site} It has: "
            f"{', '.join(['none', *found])}. Others come with recalibration.methods=[...] in training."
        )
    return found[name]


def _check_forms(patients: pd.DataFrame, run: RunFolder, inputs: Sequence[str]) -> None:
    """Refuse expression scores in another form than those that the model learned from: another scale."""
    learned = forms_of(run.table("cohort")) if run.has_table("cohort") else {}
    for score, forms in forms_of(patients).items():
        known = learned.get(score, {})
        strange = [form for form in forms if known and form not in known]
        if score in inputs and strange:
            raise ConfigError(
                f"{score} of these patients is in the form {strange[0]}, and the model learned from "
                f"{' and '.join(known)}: these are different scales. Ask for that form in `expression.scores`, or "
                "score the patients without expression."
            )


def strangers(patients: pd.DataFrame, fitted: Any) -> list[str]:
    """What to say where a model, or a part of it, standardises by cohort and has not seen the cohort."""
    if not fitted.spec.by_cohort:
        return []
    said = []
    for feature, scale in _cohort_scales(fitted):
        strange = sorted(set(patients["cohort_id"]) - set(scale))
        if strange:
            known = ", ".join(c for c in scale if c)
            said.append(
                f"{feature} is standardised by cohort, and the model has no parameters of {', '.join(strange)}: those "
                f"of all training cohorts together are taken (known: {known or 'none'})"
            )
    return list(dict.fromkeys(said))


def _cohort_scales(fitted: Any) -> Iterator[tuple[str, Any]]:
    """Feature and parameters by cohort, of the model and of those that it is made of."""
    if hasattr(fitted, "preprocessor_"):
        yield from fitted.preprocessor_.cohort_scale_.items()
    if type(fitted).__name__ in COMPOSED:
        for part in parts_of(fitted).values():
            yield from _cohort_scales(part)


def merged(refused: Sequence[RefusedRow]) -> list[Problem]:
    """The refused rows as problems of the file: the same mistake with the same value once, with all its rows."""
    groups: dict[tuple[object, ...], list[RefusedRow]] = {}
    for problem in refused:
        groups.setdefault((problem.column, problem.message, problem.mend, problem.value), []).append(problem)
    return [
        Problem(p[0].message, p[0].mend, p[0].file, p[0].sheet, p[0].column, tuple(q.rows[0] for q in p), p[0].value)
        for p in groups.values()
    ]


def _reason(problem: RefusedRow) -> str:
    value = f" ({problem.value!r})" if problem.value is not None else ""
    return f"{problem.column}: {problem.message}{value}" if problem.column else problem.message
