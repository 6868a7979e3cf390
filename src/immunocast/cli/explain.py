"""The command `explain`: one patient, what the model says, why, and how far to trust it."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from immunocast.cli._common import RunOption, RunsDir, app, check_target, find_run
from immunocast.cli._fetch import TrackingUri, require_fold_bundles, require_known_classes, with_final_bundle
from immunocast.errors import ConfigError, DataError

if TYPE_CHECKING:
    import pandas as pd

    from immunocast.explain.inputs import ExplainInputs
    from immunocast.explain.patient_parts import PatientExplanation
    from immunocast.report.patient_words import PatientWords, Step
    from immunocast.store.runfolder import RunFolder

#: Features along which the page draws what-if curves.
CURVES = 6


class PatientFormat(StrEnum):
    """How to print a patient."""

    TABLE = "table"
    JSON = "json"


@app.command()
def explain(
    patient: Annotated[str, typer.Argument(help="Id of a patient, as in the table cohort.", metavar="PATIENT_ID")],
    run: RunOption = "latest",
    model: Annotated[str | None, typer.Option(help="Explained model; the run's headline model by default.")] = None,
    question: Annotated[
        list[str] | None,
        typer.Option("--what-if", help="Another value, e.g. nlr=3.5, or a feature for a grid: nlr. Repeatable."),
    ] = None,
    neighbours: Annotated[int, typer.Option(min=1, max=200, help="Similar training patients to show.")] = 20,
    output: Annotated[PatientFormat, typer.Option("--format", help="How to print.")] = PatientFormat.TABLE,
    out: Annotated[Path | None, typer.Option(help="Write a self-contained HTML page.")] = None,
    file: Annotated[
        Path | None, typer.Option(help="Table with a new patient (CSV, Parquet, XLSX): the final model explains.")
    ] = None,
    mapping: Annotated[
        str, typer.Option(help="Cohort configuration (name or YAML file) that maps the columns of --file.")
    ] = "csv",
    sheet: Annotated[str | None, typer.Option(help="Sheet of a workbook with several.")] = None,
    expression: Annotated[Path | None, typer.Option(help="Matrix of the new patients' expression.")] = None,
    cohort_id: Annotated[str | None, typer.Option(help="Cohort of the new patients.")] = None,
    runs_dir: RunsDir = Path("runs"),
    tracking_uri: TrackingUri = None,
) -> None:
    """Explain one patient by a model that did not train on that patient.

    Without --file a patient of the run, by the models of the fold that held the patient out. With --file a new one, by
    the final model. Exit code 0 where there is a prediction, 4 where the model abstains (it says why).
    """
    from immunocast.explain.patient import explain_patient
    from immunocast.explain.whatif import parse_what_if
    from immunocast.report.patient_words import patient_words
    from immunocast.run_inputs import PATIENT_TABLES, explain_inputs

    asked = [parse_what_if(q) for q in question or []]
    folder = find_run(run, runs_dir, tracking_uri)
    if file is None:
        require_fold_bundles(folder)
    require_known_classes(folder)
    if out is not None:
        kept = (file, "the file of the patients") if file else (folder.path / "report.html", "the report of the run")
        check_target(out, *kept, "patient.html")
    about = folder.manifest()
    tables = {name: folder.table(name) for name in PATIENT_TABLES if folder.has_table(name)}
    name = model or _default_model(about, tables)
    with_final_bundle(folder, name, tracking_uri)
    inputs = explain_inputs(folder)
    top = 0 if out is None else max(CURVES - sum(a.value is None for a in asked), 0)
    if file is None:
        _no_file_options(sheet, expression, cohort_id, mapping)
        found = explain_patient(inputs, tables, patient, name, asked=asked, top=top, k=neighbours)
    else:
        from immunocast.explain.patient import require_explained
        from immunocast.explain.patient_new import explain_new_patient

        require_explained(inputs, tables, name)
        row, said = _new_patient(patient, file, mapping, folder, inputs, name, (sheet, expression, cohort_id))
        found = explain_new_patient(inputs, tables, row, name, asked=asked, top=top, k=neighbours, said=said)
    words = patient_words(found, about.get("endpoint_settings"))
    if output is PatientFormat.JSON:
        synthetic = bool(about["provenance"]["synthetic"])
        print(json.dumps({"run": folder.path.name, "synthetic": synthetic, **found.to_dict()}, indent=1))
    else:
        _print(found, words, folder, about)
    if out is not None:
        from immunocast.report.patient_page import write_patient_page

        write_patient_page(folder, found, out)
        if output is PatientFormat.TABLE:
            print(f"Page: {out}")
    if found.reason:
        raise typer.Exit(4)


def _no_file_options(sheet: str | None, expression: Path | None, cohort_id: str | None, mapping: str) -> None:
    given = {"--sheet": sheet, "--expression": expression, "--cohort-id": cohort_id}
    wrong = [option for option, value in given.items() if value is not None]
    if mapping != "csv":
        wrong.append("--mapping")
    if wrong:
        raise ConfigError(f"{', '.join(wrong)}: these say how a table of new patients is read. Give it: --file.")


def _new_patient(
    patient: str,
    file: Path,
    mapping: str,
    folder: RunFolder,
    inputs: ExplainInputs,
    model: str,
    how: tuple[str | None, Path | None, str | None],
) -> tuple[pd.DataFrame, list[str]]:
    """The patient's row of a file, and what reading it said."""
    from immunocast.cohort.mapping_files import load_mapping
    from immunocast.config import conf_dir
    from immunocast.explain.patient import find_patient
    from immunocast.serve.files import merged, read_new_patients, strangers

    fitted = inputs.load_model(model, "final")
    sheet, expression, cohort_id = how
    columns = load_mapping(mapping, conf_dir() / "cohort")
    new = read_new_patients(
        file, columns, folder, fitted, model, sheet=sheet, expression=expression, cohort_id=cohort_id
    )
    lost = [problem for problem in new.refused if problem.patient_id == patient]
    if lost:
        raise DataError(merged(lost))
    row = find_patient(new.table, patient, file.name)
    if len(row) > 1:
        raise ConfigError(f"{file.name} has {len(row)} rows of the patient {patient!r}. Keep one of them.")
    return row, [*new.unread, *strangers(row, fitted)]


def _default_model(about: dict[str, Any], tables: dict[str, Any]) -> str:
    """The headline model, or the first explained one where that has no SHAP values."""
    explained = sorted(set(tables["shap"]["model"])) if "shap" in tables else []
    headline = str(about["headline_model"])
    return headline if headline in explained or not explained else explained[0]


def _print(found: PatientExplanation, words: PatientWords, folder: RunFolder, about: dict[str, Any]) -> None:
    from immunocast.cohort.outcomes import words_of
    from immunocast.report.patient_words import CURVES, NOT_CAUSE
    from immunocast.report.text import typographic

    title = words_of(found.endpoint, about.get("endpoint_settings")).title
    synthetic = "  SYNTHETIC COHORT" if about["provenance"]["synthetic"] else ""
    print(f"{words.title}, run {folder.path.name}{synthetic}")
    print(", ".join(words.facts))
    print()
    if words.reason:
        print(words.reason)
    else:
        print(f"Probability of {title}: {words.probability}")
        for line in words.about:
            print(f"  {line}")
    if words.outcome:
        print(f"Outcome: {words.outcome}")
    for warning in words.warnings:
        print(f"Warning: {warning}")
    for head, steps in (("Raised the probability", words.raised), ("Lowered it", words.lowered)):
        if steps:
            print(f"\n{head}")
            _print_steps(steps, words.scale)
    if words.raised or words.lowered:
        base = typographic(f"{found.base_value:.2f} to {found.output:.2f} on {found.scale}")
        print(f"\nFrom the average training patient to this one: {base}. {words.rest}".rstrip())
        print("Points: about what would change without the value, each alone; they do not add up exactly.")
        print(NOT_CAUSE)
    print(f"\n{words.grounds}")
    for block, inputs in words.rested_on:
        print(f"  {block}: {inputs}")
    print(f"Not measured: {words.missing or 'none of the inputs'}")
    if words.missing:
        print(f"  {words.missing_rule}")
    print(f"\n{words.similar}")
    if words.similar_how:
        print(f"  {words.similar_how}")
    for near in words.neighbours[:5]:
        print(f"  {near.patient_id} ({near.cohort_id}): {near.outcome}; distance {near.distance}, {near.shared} inputs")
    if words.curves:
        print(f"\nWhat if. {CURVES}")
        for line in words.curves:
            print(f"  {line}")


def _print_steps(steps: tuple[Step, ...], scale: str) -> None:
    names = [f"{s.feature} {s.value}" for s in steps]
    width = max(map(len, names))
    for name, step in zip(names, steps, strict=True):
        print(f"  {name:<{width}}  {step.points:>6} points  {step.shap:>6} {scale}")
