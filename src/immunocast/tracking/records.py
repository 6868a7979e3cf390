"""What a run has to say to a tracker: typed records, read from a run folder.

The tracker is a consumer: `run_records` and `model_records` yield Param, Metric, Tag and so on, one loop in
`tracking.mlflow` logs them. Nothing here knows that MLflow exists; names follow the rules that it sets.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from immunocast.cohort.outcomes import words_of
from immunocast.errors import NotFoundError
from immunocast.models.spec import ModelSpec
from immunocast.store.runfolder import RunFolder
from immunocast.store.single_patients import PATIENT_FIGURES, PATIENT_TABLES, without_single_patients
from immunocast.tracking.cards import card_files_of, card_folder, card_lines
from immunocast.tracking.curves import curve_metrics
from immunocast.tracking.describe import describe_model
from immunocast.tracking.evaluation import model_evaluation, run_evaluation
from immunocast.tracking.labels import (
    SYNTHETIC_BANNER,
    against_reference,
    common_tags,
    dataset,
    display_name,
    is_synthetic,
    with_banner,
)
from immunocast.tracking.links import after_the_headline, artifact_paths, reviewed, spaced
from immunocast.tracking.numbers import metric_key, model_numbers, run_numbers
from immunocast.tracking.readable import readable_tables
from immunocast.tracking.record_types import (
    Artifact,
    Dataset,
    Description,
    EvaluationTable,
    Metric,
    Model,
    Param,
    ReadableTable,
    Record,
    Tag,
    TextFile,
)
from immunocast.tracking.settings import setting_params
from immunocast.tracking.sweep_labels import KIND, SWEEP, clean_key, run_name, sweep_records

__all__ = [
    "KIND", "SWEEP", "SYNTHETIC_BANNER", "Artifact", "Dataset", "Description", "EvaluationTable",
    "Metric", "Model", "Param",
    "ReadableTable", "Record", "Tag", "TextFile",
    "clean_key", "display_name", "flat_params", "is_synthetic", "metric_key",
    "model_records", "run_name", "run_records",
]  # fmt: skip


def flat_params(model: Any) -> dict[str, Any]:
    """Settings of a model as a tracker shows them: `get_params` by its own names, plain values only.

    What the ModelSpec says already (label, source, explainer, scale) is left out, and so are settings at None.
    """
    said = ("label", "source", "explainer", "output_scale")
    return {
        key: value if isinstance(value, bool | int | float | str) else ", ".join(value)
        for key, value in model.get_params(deep=True).items()
        if key not in said
        and (
            isinstance(value, bool | int | float | str)
            or (isinstance(value, list | tuple) and value and all(isinstance(v, str) for v in value))
        )
    }


def run_records(
    run: RunFolder, *, patient_tables: bool = True, readable: dict[str, pd.DataFrame] | None = None
) -> Iterator[Record]:
    """What the run as a whole has to say.

    Parameters
    ----------
    run : a run folder with a manifest.
    patient_tables : whether what shows single patients is handed on: tables with a row a patient or ids (Parquet, no
        readable twin), the report's example patients and their pictures.
    readable : the run's `readable_tables`, where they are made already.

    Raises
    ------
    NotFoundError
        Where the folder has no manifest.
    """
    manifest = _manifest(run)
    provenance = manifest.get("provenance", {})
    headline = manifest.get("headline_model")
    yield from common_tags(run)
    yield Tag(KIND, "pipeline")
    if compared := against_reference(run):
        yield Tag("against_reference", compared)
    yield from dataset(run)
    readable = readable_tables(run) if readable is None else readable
    files = [*_files(run, readable, patient_tables=patient_tables), *run_evaluation(run, readable)]
    summary = run.path / "summary.md"
    text = summary.read_text(encoding="utf-8") if summary.is_file() else ""
    yield Description(after_the_headline(spaced(with_banner(run, text)), reviewed(artifact_paths(files))))

    settings = {
        "cohort": provenance.get("name"),
        "cohort_digest": str(provenance.get("digest", ""))[:12],
        "n_patients": _n_patients(run),
        "endpoint": manifest.get("endpoint"),
        **{
            f"endpoint.{key}": ", ".join(value) if isinstance(value, list) else value
            for key, value in (manifest.get("endpoint_settings") or {}).items()
            if key != "name"
        },
        "scheme": manifest.get("scheme"),
        "seed": manifest.get("seed"),
        "n_resamples": manifest.get("n_resamples"),
        "headline_model": headline,
        "reference_model": manifest.get("reference_model"),
        "immunocast_version": manifest.get("immunocast_version"),
    }
    yield from (Param(key, str(value)) for key, value in settings.items() if value not in (None, ""))
    yield from setting_params(run)
    yield from sweep_records(run)

    if headline:
        yield from run_numbers(run, headline)
        yield from curve_metrics(run, headline)
    yield from files


def model_records(run: RunFolder, model: str, readable: dict[str, pd.DataFrame] | None = None) -> Iterator[Record]:
    """What one model of the run has to say.

    Parameters
    ----------
    run : a run folder with a manifest.
    model : name of the model in the run.
    readable : the run's `readable_tables`, where they are made already.

    Raises
    ------
    NotFoundError
        Where the run has no such model.
    """
    manifest = _manifest(run)
    models = manifest.get("models", {})
    if model not in models:
        raise NotFoundError(f"Run {run.run_id} has no model {model!r}. Models: {', '.join(models)}.")
    entry = models[model]
    spec = ModelSpec.from_dict(entry["spec"])
    label = entry.get("label") or model
    tags = {tag.key: tag.value for tag in common_tags(run)} | {
        "model": model,
        "kind": "learned" if spec.learned else "published",
    }
    yield from (Tag(key, value) for key, value in tags.items())
    yield Param("model", model)
    # a setting of the estimator may itself be called "model"
    yield from (Param(str(k), str(v)) for k, v in entry.get("params", {}).items() if k != "model")
    description = with_banner(run, describe_model(run, model, label, spec))
    yield Description(description)
    yield from dataset(run)
    yield from model_numbers(run, model)
    yield from curve_metrics(run, model)
    yield from _tuning_metrics(run, model)
    yield from model_evaluation(run, model, readable_tables(run) if readable is None else readable)
    bundle = run.bundle_path(model, "final")
    if bundle.is_dir():
        endpoint = str(manifest.get("endpoint", "response"))
        # a registered model has one endpoint: versions for another one would be taken for better or worse ones
        name = f"immunocast-{model}" + ("" if endpoint == "response" else f"-{endpoint}")
        registered = display_name(run, name).replace(" ", "-") if spec.learned else None
        title = words_of(endpoint, manifest.get("endpoint_settings")).title
        card = card_folder(run, model)
        banner = f"{SYNTHETIC_BANNER}\n\n" if is_synthetic(run) else ""
        about = f"{banner}{card_lines(card)}\n\n{describe_model(run, model, label, spec)}" if card else ""
        yield Model(model, label, bundle, spec, registered, description, tags, title, card, about)
    if card := card_folder(run, model):
        yield from card_files(card)


def card_files(card: Path) -> Iterator[Artifact]:
    """The files of a model card, below card/ among a run's artifacts."""
    yield from (Artifact(file, f"card/{file.relative_to(card).as_posix()}") for file in card_files_of(card))


def _manifest(run: RunFolder) -> dict[str, Any]:
    manifest = run.manifest()
    if not manifest:
        raise NotFoundError(f"{run.path} has no manifest.json, so it is no finished run. Finish it first: make run")
    return manifest


def _n_patients(run: RunFolder) -> int | None:
    return len(run.table("cohort")) if run.has_table("cohort") else None


def _tuning_metrics(run: RunFolder, model: str) -> Iterator[Metric]:
    """The inner search: a line an outer fold, the trial being the step."""
    if not run.has_table("tuning"):
        return
    rows = run.table("tuning").query("model == @model").dropna(subset="value")
    several = rows["repeat"].nunique() > 1
    for row in rows.itertuples():
        fold = f"{row.fold}, repeat {row.repeat}" if several else str(row.fold)
        key = metric_key(f"Inner {row.criterion} by trial", cohort_id=fold)
        yield Metric(key, float(row.value), int(row.trial))  # type: ignore[arg-type]


def _files(
    run: RunFolder, readable: dict[str, pd.DataFrame], *, patient_tables: bool
) -> Iterator[Artifact | TextFile | ReadableTable]:
    report = run.path / "report.html"
    if patient_tables and report.is_file():
        yield Artifact(report, report.name)
    elif report.is_file() and (told := without_single_patients(report.read_text(encoding="utf-8"))):
        yield TextFile(report.name, told)
    for name in ("summary.md", "results.csv", "config.yaml", "manifest.json"):
        if (run.path / name).is_file():
            yield Artifact(run.path / name, name)
    for part in sorted((run.path / "meta").glob("*.json")):
        yield Artifact(part, f"meta/{part.name}")
    for figure in sorted((run.path / "figures").glob("*.png")):
        if patient_tables or not figure.name.startswith(PATIENT_FIGURES):
            yield Artifact(figure, f"figures/{figure.name}")
    for table in sorted((run.path / "tables").glob("*.parquet")):
        if patient_tables or table.stem not in PATIENT_TABLES:
            yield Artifact(table, f"tables/{table.name}")
    for name, frame in readable.items():
        yield ReadableTable(f"readable/{name}.csv", frame)
