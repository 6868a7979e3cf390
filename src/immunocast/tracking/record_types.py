"""What can be said to a tracker: typed records. Nothing here knows that MLflow exists."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from immunocast.models.spec import ModelSpec


@dataclass(frozen=True)
class Param:
    """A setting: flat name, value as text."""

    key: str
    value: str


@dataclass(frozen=True)
class Metric:
    """A number; `key` may hold one `/`, by which trackers group. Points of a curve have steps, which are whole."""

    key: str
    value: float
    step: int = 0


@dataclass(frozen=True)
class Tag:
    """A label that runs can be searched by."""

    key: str
    value: str


@dataclass(frozen=True)
class Description:
    """What the run found, in markdown; links without a scheme lead to artifacts of the same run (`tracking.links`)."""

    text: str


@dataclass(frozen=True)
class Artifact:
    """A file of the run folder, and where it lies among the run's artifacts (posix path)."""

    source: Path
    path: str


@dataclass(frozen=True)
class TextFile:
    """A text of the run folder that is changed for publication, and where it lies among the run's artifacts."""

    path: str
    text: str


@dataclass(frozen=True)
class ReadableTable:
    """A table for people to read: CSV, rounded; the Parquet table keeps full precision."""

    path: str
    frame: pd.DataFrame


@dataclass(frozen=True)
class EvaluationTable:
    """A table that a tracker can compare between runs: text and numbers, few columns, JSON among the artifacts."""

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
    events_by_cohort : events of the endpoint a cohort, among the analysed patients.
    """

    name: str
    digest: str
    source: str
    context: str
    columns: dict[str, str]
    n_rows: int
    n_by_cohort: dict[str, int]
    events_by_cohort: dict[str, int]


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


Record = Param | Metric | Tag | Description | Artifact | TextFile | ReadableTable | EvaluationTable | Dataset | Model
