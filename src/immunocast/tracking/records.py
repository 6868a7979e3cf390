"""What a run has to say to a tracker: typed records, read from a run folder.

The tracker is a consumer: `run_records` and `model_records` yield Param, Metric, Tag and so on, one loop in
`tracking.mlflow` logs them. Nothing here knows that MLflow exists; names follow the rules that it sets.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from immunocast.cohort.outcomes import words_of
from immunocast.cohort.vocabulary import VOCABULARY
from immunocast.errors import NotFoundError
from immunocast.models.spec import ModelSpec
from immunocast.store.runfolder import RunFolder
from immunocast.tracking.cards import card_files_of, card_folder, card_lines
from immunocast.tracking.describe import describe_model
from immunocast.tracking.readable import readable_tables

SYNTHETIC_BANNER = "**SYNTHETIC DATA: no patient exists. Nothing here says anything about real patients.**"

#: Tables with a row a patient. They are left out where `log_patient_tables` is off.
PATIENT_TABLES = ("cohort", "truth", "predictions", "stability", "shap")


@dataclass(frozen=True)
class Param:
    """A setting: flat name, value as text."""

    key: str
    value: str


@dataclass(frozen=True)
class Metric:
    """A number; `key` may hold one `/`, by which trackers group."""

    key: str
    value: float


@dataclass(frozen=True)
class Tag:
    """A label that runs can be searched by."""

    key: str
    value: str


@dataclass(frozen=True)
class Description:
    """What the run found, in markdown."""

    text: str


@dataclass(frozen=True)
class Artifact:
    """A file of the run folder, and where it lies among the run's artifacts (posix path)."""

    source: Path
    path: str


@dataclass(frozen=True)
class ReadableTable:
    """A table for people to read: CSV, rounded; the Parquet table keeps full precision."""

    path: str
    frame: pd.DataFrame


@dataclass(frozen=True)
class Dataset:
    """The cohort table that went in: names and counts, never rows.

    Attributes
    ----------
    name, digest, source : from the cohort's provenance.
    context : what the table was used for.
    columns : name and kind of each column.
    n_rows : patients.
    n_by_cohort : patients a cohort.
    """

    name: str
    digest: str
    source: str
    context: str
    columns: dict[str, str]
    n_rows: int
    n_by_cohort: dict[str, int]


@dataclass(frozen=True)
class Model:
    """The final bundle of a model.

    Attributes
    ----------
    name : name in the run.
    label : how figures call it.
    bundle : folder of the bundle (`models.bundle`).
    spec : what it needs.
    registered_name : name in the registry, None where it is logged only (published baselines).
    description : markdown for its page.
    tags : labels of the model and its version.
    predicts : what its probability is of, in words.
    card : folder of its model card, None where the run has none.
    version_description : markdown for the version's page; "" takes `description`.
    """

    name: str
    label: str
    bundle: Path
    spec: ModelSpec
    registered_name: str | None
    description: str
    tags: dict[str, str]
    predicts: str
    card: Path | None = None
    version_description: str = ""


Record = Param | Metric | Tag | Description | Artifact | ReadableTable | Dataset | Model


def is_synthetic(run: RunFolder) -> bool:
    """Whether the run's patients were generated."""
    return bool(run.manifest().get("provenance", {}).get("synthetic"))


def display_name(run: RunFolder, name: str) -> str:
    """A run's or model's name as trackers show it: "synthetic " comes first where no patient is real."""
    return f"synthetic {name}" if is_synthetic(run) else name


def metric_key(
    metric: str,
    *,
    recalibration: str = "none",
    cohort_id: str = "combined",
    subgroup: str = "all",
    level: str = "all",
    threshold: float | None = None,
    suffix: str = "",
) -> str:
    """Name of an estimate.

    The headline (all patients, no recalibration) has the bare name, so that it sorts first; cohorts and
    subgroups come after a `/`, so that trackers group them.

    >>> metric_key("auroc"), metric_key("auroc", suffix="_ci_low")
    ('auroc', 'auroc_ci_low')
    >>> metric_key("auroc", cohort_id="MSK1")
    'auroc/MSK1'
    >>> metric_key("net_benefit", threshold=0.3, recalibration="platt")
    'net_benefit_at_0.3_platt'
    >>> metric_key("auroc", subgroup="tumor_type", level="Head & Neck")
    'auroc_by_tumor_type/Head _ Neck'
    """
    name = metric
    if threshold is not None and not math.isnan(threshold):
        name += f"_at_{threshold:g}"
    if recalibration != "none":
        name += f"_{recalibration}"
    parts = []
    if subgroup != "all":
        name += f"_by_{subgroup}"
        parts.append(level)
    if cohort_id != "combined":
        parts.append(cohort_id)
    clean = [re.sub(r"[^\w\-. :]", "_", part).strip() or "_" for part in (name, " in ".join(parts)) if part]
    return "/".join(clean) + suffix


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


def run_records(run: RunFolder, *, log_patient_tables: bool = True) -> Iterator[Record]:
    """What the run as a whole has to say.

    Parameters
    ----------
    run : a run folder with a manifest.
    log_patient_tables : whether tables with a row a patient (Parquet, no readable twin) are handed on. Turn
        it off where the tracker is a shared server and the patients are real.

    Raises
    ------
    NotFoundError
        Where the folder has no manifest.
    """
    manifest = _manifest(run)
    provenance = manifest.get("provenance", {})
    headline = manifest.get("headline_model")
    yield from _common_tags(run)
    summary = run.path / "summary.md"
    yield Description(_with_banner(run, summary.read_text(encoding="utf-8") if summary.is_file() else ""))
    yield from _dataset(run)

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

    if headline:
        yield from _numbers_of(run, headline, whole=False)
    yield from _files(run, log_patient_tables=log_patient_tables)


def model_records(run: RunFolder, model: str) -> Iterator[Record]:
    """What one model of the run has to say.

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
    tags = {tag.key: tag.value for tag in _common_tags(run)} | {
        "model": model,
        "kind": "learned" if spec.learned else "published",
    }
    yield from (Tag(key, value) for key, value in tags.items())
    yield Param("model", model)
    # a setting of the estimator may itself be called "model"
    yield from (Param(str(k), str(v)) for k, v in entry.get("params", {}).items() if k != "model")
    description = _with_banner(run, describe_model(run, model, label, spec))
    yield Description(description)
    yield from _numbers_of(run, model, whole=True)
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


def _common_tags(run: RunFolder) -> Iterator[Tag]:
    yield Tag("synthetic", "true" if is_synthetic(run) else "false")
    yield Tag("immunocast.run_id", run.run_id)


def _with_banner(run: RunFolder, text: str) -> str:
    said = "synthetic" in text[:300].lower()
    return f"{SYNTHETIC_BANNER}\n\n{text}" if is_synthetic(run) and not said else text


def _n_patients(run: RunFolder) -> int | None:
    return len(run.table("cohort")) if run.has_table("cohort") else None


def _dataset(run: RunFolder) -> Iterator[Dataset]:
    if not run.has_table("cohort"):
        return
    cohort = run.table("cohort")
    provenance = run.manifest().get("provenance", {})
    kinds = {name: VOCABULARY[name].kind if name in VOCABULARY else "binary" for name in cohort}
    yield Dataset(
        name=display_name(run, str(provenance.get("name", "cohort"))),
        digest=str(provenance.get("digest", ""))[:12],
        source=str(provenance.get("source", "")),
        context="train and validation",
        columns={str(name): kind for name, kind in kinds.items()},
        n_rows=len(cohort),
        n_by_cohort={str(k): int(v) for k, v in cohort["cohort_id"].value_counts().sort_index().items()},
    )


def _numbers_of(run: RunFolder, model: str, *, whole: bool) -> Iterator[Metric]:
    """A model's metrics; what a reviewer looks for comes first, since trackers keep the order.

    `whole` is for the model's own page; the run's page leaves out subgroups, recalibrations and most cohorts.
    """
    found = [
        *_estimates(run, model, subgroups=whole, recalibrated=whole),
        *_differences(run, model, cohorts=whole),
    ]
    yield from sorted(found, key=_place)


def _place(metric: Metric) -> int:
    """AUROC, then its difference, then other estimates and differences for everybody, then parts."""
    if "/" in metric.key:
        return 4
    if "_minus_" in metric.key:
        return 1 if metric.key.startswith("auroc_") else 3
    return 0 if metric.key in ("auroc", "auroc_ci_low", "auroc_ci_high") else 2


def _numbers(key: str, row: Any, value: str, *, suffix: str = "") -> Iterator[Metric]:
    """An estimate and its interval; what could not be estimated is not logged."""
    for column, ending in ((value, ""), ("ci_low", "_ci_low"), ("ci_high", "_ci_high")):
        number = getattr(row, column)
        if pd.notna(number) and math.isfinite(number):
            yield Metric(f"{key}{suffix}{ending}", float(number))


def _estimates(run: RunFolder, model: str, *, subgroups: bool, recalibrated: bool) -> Iterator[Metric]:
    if not run.has_table("metrics"):
        return
    rows = run.table("metrics").query("model == @model")
    scheme = run.manifest().get("scheme")
    if scheme in set(rows["scheme"]):
        rows = rows[rows["scheme"] == scheme]
    if not recalibrated:
        rows = rows[rows["recalibration"] == "none"]
    if not subgroups:
        per_cohort_auroc = rows["metric"].eq("auroc") & rows["cohort_id"].ne("pooled")
        rows = rows[rows["subgroup"].eq("all") & (rows["cohort_id"].eq("combined") | per_cohort_auroc)]
    # everybody before cohorts, cohorts before subgroups
    detail = (
        rows["cohort_id"].ne("combined").astype(int)
        + 2 * rows["subgroup"].ne("all")
        + 4 * rows["recalibration"].ne("none")
    )
    for row in rows.loc[detail.sort_values(kind="stable").index].itertuples():
        key = metric_key(
            str(row.metric),
            recalibration=str(row.recalibration),
            cohort_id=str(row.cohort_id),
            subgroup=str(row.subgroup),
            level=str(row.level),
            threshold=float(row.threshold_or_horizon),  # type: ignore[arg-type]
        )
        yield from _numbers(key, row, "estimate")
    main = rows.query("metric == 'auroc' and recalibration == 'none' and cohort_id == 'combined' and subgroup == 'all'")
    if len(main):
        for name in ("n", "n_events", "n_abstained"):
            yield Metric(name, float(main.iloc[0][name]))


def _differences(run: RunFolder, model: str, *, cohorts: bool) -> Iterator[Metric]:
    if not run.has_table("comparisons"):
        return
    rows = run.table("comparisons").query("model == @model")
    if not cohorts:
        against = rows["reference_model"] == run.manifest().get("reference_model")
        rows = rows[(rows["cohort_id"] == "combined") & (rows["subgroup"] == "all") & against]
    for row in rows.itertuples():
        key = metric_key(
            f"{row.metric}_minus_{row.reference_model}",
            cohort_id=str(row.cohort_id),
            subgroup=str(row.subgroup),
            level=str(row.level),
            threshold=float(row.threshold_or_horizon),  # type: ignore[arg-type]
        )
        yield from _numbers(key, row, "difference")


def _files(run: RunFolder, *, log_patient_tables: bool) -> Iterator[Artifact | ReadableTable]:
    for name in ("report.html", "summary.md", "results.csv", "config.yaml", "manifest.json"):
        if (run.path / name).is_file():
            yield Artifact(run.path / name, name)
    for part in sorted((run.path / "meta").glob("*.json")):
        yield Artifact(part, f"meta/{part.name}")
    for figure in sorted((run.path / "figures").glob("*.png")):
        yield Artifact(figure, f"figures/{figure.name}")
    for table in sorted((run.path / "tables").glob("*.parquet")):
        if log_patient_tables or table.stem not in PATIENT_TABLES:
            yield Artifact(table, f"tables/{table.name}")
    for name, frame in readable_tables(run).items():
        yield ReadableTable(f"readable/{name}.csv", frame)
