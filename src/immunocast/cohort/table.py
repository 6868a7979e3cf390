"""The cohort table: dtypes, schema, and the bundle of tables that a reader returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa

from immunocast.cohort.vocabulary import MEASURED_SUFFIX, VOCABULARY, Column

#: dtype in which each kind is stored: floats carry NaN, integers and flags are nullable.
DTYPES = {"number": "float64", "integer": "Int64", "binary": "Int64", "category": "str", "text": "str"}


@dataclass(frozen=True)
class Provenance:
    """Where a cohort table comes from; it travels into the manifest, the report and MLflow.

    Attributes
    ----------
    name : name of the cohort configuration, e.g. "loris".
    synthetic : True where no patient exists; every artifact then says so.
    source : citation or generator version.
    digest : SHA-256 of the source file, or of the generator's settings.
    view : "analysis", or "as_published" (reproduction only).
    licence : licence or terms of the source.
    notes : corrections and caveats by cohort, as sentences.
    """

    name: str
    synthetic: bool
    source: str
    digest: str
    view: str = "analysis"
    licence: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class CohortTables:
    """What a reader returns.

    Attributes
    ----------
    cohort : the cohort table.
    provenance : where it comes from.
    truth : None for real cohorts; for synthetic ones one row a patient (patient_id, p_response and effects),
        kept away from models.
    truth_features : None for real cohorts; for synthetic ones what is true of each feature, a row an outcome and a
        feature.
    checks : what the reader found, rows of the checks table.
    waive : cohort id -> {check code, "code:column" or "code:cohort" -> reason}, as the cohort's configuration
        states it; it concerns findings of that cohort only.
    unmapped : the source's other columns as they stand there, one row for each of `cohort`, in the same order;
        None where the source has none. Checks look at them, nothing stores them.
    sources : cohort id -> {vocabulary name -> header of the source}, where a reader maps columns. Checks look at
        the headers.
    """

    cohort: pd.DataFrame
    provenance: Provenance
    truth: pd.DataFrame | None = None
    checks: list[dict[str, Any]] = field(default_factory=list)
    waive: dict[str, dict[str, str]] = field(default_factory=dict)
    unmapped: pd.DataFrame | None = None
    sources: dict[str, dict[str, str]] = field(default_factory=dict)
    truth_features: pd.DataFrame | None = None


def _pandera_column(column: Column) -> pa.Column:
    checks = []
    if column.kind == "number":
        checks.append(pa.Check(lambda s: np.isfinite(s), error="must be finite"))
    if column.low is not None:
        checks.append(pa.Check.ge(column.low))
    if column.high is not None:
        checks.append(pa.Check.le(column.high))
    if column.kind == "binary":
        checks.append(pa.Check.isin([0, 1]))
    if column.categories:
        checks.append(pa.Check.isin(list(column.categories)))
    required = column.role == "key"
    return pa.Column(DTYPES[column.kind], checks, nullable=not required, required=required)


#: Keys are required, all else optional; columns outside the vocabulary are refused, measured-flags apart.
COHORT_SCHEMA = pa.DataFrameSchema(
    {
        **{name: _pandera_column(column) for name, column in VOCABULARY.items()},
        rf"^.+{MEASURED_SUFFIX}$": pa.Column("Int64", pa.Check.isin([0, 1]), nullable=True, required=False, regex=True),
    },
    unique=["patient_id"],
    strict=True,
    name="cohort",
)


def to_cohort_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Bring a frame into the stored dtypes and the vocabulary's column order.

    Parameters
    ----------
    frame : one row a patient, columns of the vocabulary (any subset with the keys) and measured-flags.
        `person_id` defaults to `patient_id`.

    Returns
    -------
    A new frame that satisfies `COHORT_SCHEMA`, index 0..n-1.

    Raises
    ------
    pandera.errors.SchemaErrors
        Where values break the schema. Readers report users' mistakes before they come here.
    """
    frame = frame.copy()
    if "person_id" not in frame:
        frame["person_id"] = frame["patient_id"]
    known = [name for name in VOCABULARY if name in frame]
    flags = sorted(c for c in map(str, frame.columns) if c.endswith(MEASURED_SUFFIX))
    other = [c for c in frame if c not in VOCABULARY and c not in flags]
    dtypes: dict[Any, Any] = {c: DTYPES[VOCABULARY[c].kind] for c in known} | dict.fromkeys(flags, "Int64")
    typed = {c: frame[c].astype(dtypes[c]) if c in dtypes else frame[c] for c in (*known, *flags, *other)}
    return COHORT_SCHEMA.validate(pd.DataFrame(typed).reset_index(drop=True), lazy=True)


def stack_cohorts(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """One frame from several, rows in the order given; a column that one lacks is missing there.

    Parameters
    ----------
    frames : columns of the vocabulary and measured-flags.

    Returns
    -------
    A frame with every column that any of them has. A feature without a flag was measured, so its flag is 1 where
    another frame carries flags.
    """
    names = list(dict.fromkeys(str(c) for f in frames for c in f.columns))
    stacked = {}
    for name in names:
        feature = name.removesuffix(MEASURED_SUFFIX)
        dtype: Any = DTYPES[VOCABULARY[name].kind] if name in VOCABULARY else "Int64"
        parts = []
        for frame in frames:
            part = pd.Series(index=range(len(frame)), dtype=dtype)
            if name in frame:
                part = frame[name]
            elif feature != name and feature in frame:
                part = part.mask(frame[feature].notna().reset_index(drop=True), 1)
            parts.append(part.astype(dtype))
        stacked[name] = pd.concat(parts, ignore_index=True)
    return pd.DataFrame(stacked)
