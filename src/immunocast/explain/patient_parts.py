"""What is said of one patient, and how it is put together from fitted models and their SHAP values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from immunocast.cohort.vocabulary import FEATURES, MEASURED_SUFFIX, VOCABULARY
from immunocast.errors import ConfigError
from immunocast.explain.domain import domain_warnings
from immunocast.explain.neighbours import Neighbours, similar_patients
from immunocast.explain.whatif import Asked, WhatIf, what_if
from immunocast.models.assays import inputs_used
from immunocast.models.blend import Blend

#: A SHAP value below this is rounding error.
NOTHING = 1e-9


@dataclass(frozen=True)
class Contribution:
    """What a feature did to a patient's prediction.

    Attributes
    ----------
    value : number, level, or None where it was not measured; `source`: measured, imputed (by whoever published
        it), or missing.
    shap : SHAP value on the model's scale.
    change : about how much of the probability goes with it: p - p without the value; -1 to 1.
    """

    feature: str
    value: float | str | None
    source: str
    shap: float
    change: float


@dataclass(frozen=True)
class Range:
    """How far a probability moves when other patients happen to train the model: 2.5th to 97.5th percentile."""

    low: float
    high: float
    n_refits: int


@dataclass(frozen=True)
class PredictionSet:
    """A conformal set: see the table conformal."""

    coverage: float
    outcomes: str
    p_event: float
    p_other: float
    n_calibration: int
    note: str


@dataclass(frozen=True)
class PatientExplanation:
    """All that is said of one patient under one model.

    Attributes
    ----------
    patient_id, cohort_id, linked : ids; `linked` are other ids of the same person in the run.
    model, label, endpoint, scheme : what predicted, and how it was validated; scheme "" for a new patient.
    folds : (repeat, fold) of the models that speak; empty for a new patient.
    n_training : patients who trained (the first of) them.
    reason : why there is no prediction, "" where there is one.
    probability : mean over repeats; NaN without a prediction. `recalibrated`: recalibrator -> probability.
    range : over refits, None where the run has none; `sets` : prediction sets.
    outcome : 1 with the event, 0 without, None where it is not known.
    scale, method, base_value, output, standard_error : as in the table shap, averaged over repeats.
    contributions : strongest first.
    rested_on : block -> inputs that were measured and used; `missing` : inputs that were not measured.
    missing_rule : what the model does with those.
    neighbours, what_if, warnings : see their modules.
    """

    patient_id: str
    cohort_id: str
    linked: tuple[str, ...]
    model: str
    label: str
    endpoint: str
    scheme: str
    folds: tuple[tuple[int, str], ...]
    n_training: int
    reason: str
    probability: float
    recalibrated: Mapping[str, float]
    range: Range | None
    sets: tuple[PredictionSet, ...]
    outcome: int | None
    scale: str
    method: str
    base_value: float
    output: float
    standard_error: float | None
    contributions: tuple[Contribution, ...]
    rested_on: Mapping[str, tuple[str, ...]]
    missing: tuple[str, ...]
    missing_rule: str
    neighbours: Neighbours
    what_if: tuple[WhatIf, ...]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; NaN becomes None."""
        plain = asdict(self)
        plain["neighbours"] |= {"table": self.neighbours.table.to_dict("records"), "far": self.neighbours.far}
        return _plain(plain)


@dataclass(frozen=True)
class Stated:
    """What is known of a patient before the explanation is put together; see `PatientExplanation`.

    `said` are warnings that are known before.
    """

    patient: pd.DataFrame
    model: str
    models: Sequence[Any]
    training: pd.DataFrame
    y: np.ndarray
    endpoint: str
    scheme: str
    folds: tuple[tuple[int, str], ...]
    linked: tuple[str, ...]
    outcome: int | None
    reason: str
    probability: float
    recalibrated: Mapping[str, float]
    range: Range | None
    sets: tuple[PredictionSet, ...]
    said: tuple[str, ...] = ()

    def explained(self, shap: pd.DataFrame, asked: Sequence[Asked], top: int, k: int) -> PatientExplanation:
        """Add contributions, assays, neighbours, what-if curves and warnings.

        Parameters
        ----------
        shap : the patient's rows of the table shap, one a model of `models`; empty where the model abstained.
        asked, top, k : as for `explain_patient`.
        """
        spec = self.models[0].spec
        used = inputs_used(self.models[0])
        there = [f for f in spec.inputs if f in self.patient and self.patient[f].notna().iloc[0]]
        neighbours = similar_patients(self.patient, self.training, self.y, used, k=k)
        has = not shap.empty
        output = float(shap["output"].mean()) if has else math.nan
        scale = str(shap["output_scale"].iloc[0]) if has else spec.output_scale
        contributions = self._contributions(shap, scale, output) if has else ()
        error = shap["standard_error"].max() if "standard_error" in shap else np.nan
        curves = tuple(what_if(self.models, self.patient, self.training, used, one) for one in asked) if has else ()
        return PatientExplanation(
            patient_id=str(self.patient["patient_id"].iloc[0]),
            cohort_id=str(self.patient["cohort_id"].iloc[0]),
            linked=self.linked,
            model=self.model,
            label=spec.label or self.model,
            endpoint=self.endpoint,
            scheme=self.scheme,
            folds=self.folds,
            n_training=len(self.training),
            reason=self.reason,
            probability=self.probability,
            recalibrated=self.recalibrated,
            range=self.range,
            sets=self.sets,
            outcome=self.outcome,
            scale=scale,
            method=str(shap["method"].iloc[0]) if has else "",
            base_value=float(shap["base_value"].mean()) if has else math.nan,
            output=output,
            standard_error=float(error) if pd.notna(error) and error > 0 else None,
            contributions=contributions,
            rested_on=_by_block([f for f in there if f in used]),
            missing=tuple(f for f in spec.inputs if f not in there),
            missing_rule=spec.missing_rule,
            neighbours=neighbours,
            what_if=(*curves, *self._along(contributions, used, {a.feature for a in asked}, top)),
            warnings=(
                *self.said,
                *domain_warnings(self.patient, self.training, spec.inputs, used, neighbours),
            ),
        )

    def _contributions(self, shap: pd.DataFrame, scale: str, output: float) -> tuple[Contribution, ...]:
        links = [_link(m) for m in self.models] if scale == "log-hazard" else [(0.0, 1.0)]
        intercept, slope = (float(np.mean(part)) for part in zip(*links, strict=True))

        def p(value: float) -> float:
            return value if scale == "probability" else float(expit(intercept + slope * value))

        found = []
        for f in FEATURES:
            if f not in shap or not shap[f].notna().any() or (f not in self.models[0].spec.inputs):
                continue
            value = float(shap[f].mean())
            shown: Any = self.patient[f].iloc[0] if f in self.patient else None
            absent = shown is None or bool(pd.isna(shown))
            if abs(value) < NOTHING and absent:
                continue
            flag = self.patient.get(f + MEASURED_SUFFIX)
            imputed = flag is not None and pd.notna(flag.iloc[0]) and int(flag.iloc[0]) == 0
            category = VOCABULARY[f].kind in ("category", "text")
            found.append(
                Contribution(
                    f,
                    None if absent else str(shown) if category else float(shown),
                    "missing" if absent else "imputed" if imputed else "measured",
                    value,
                    p(output) - p(output - value),
                )
            )
        return tuple(sorted(found, key=lambda c: (-abs(c.shap), c.feature)))

    def _along(
        self, contributions: Sequence[Contribution], used: Sequence[str], done: set[str], top: int
    ) -> list[WhatIf]:
        curves: list[WhatIf] = []
        for c in contributions:
            if len(curves) == top:
                break
            if c.feature in done or abs(c.shap) < NOTHING:
                continue
            try:
                curve = what_if(self.models, self.patient, self.training, used, Asked(c.feature, None))
            except ConfigError:  # too few training patients have it: nobody asked for this one
                continue
            if len(curve.values) > 1:
                curves.append(curve)
        return curves


def sets_of(rows: pd.DataFrame) -> tuple[PredictionSet, ...]:
    """Rows of the table conformal as prediction sets."""
    return tuple(
        PredictionSet(
            float(r["coverage"]),
            str(r["prediction_set"]),
            float(r["p_value_event"]),
            float(r["p_value_other"]),
            int(r["n_calibration"]),
            str(r["note"]),
        )
        for r in rows.to_dict("records")
    )


def _link(model: Any) -> tuple[float, float]:
    """Intercept and slope of the log-odds along the centred linear predictor of a hazard."""
    if isinstance(model, Blend):
        return _link(next(iter(model.parts_.values())))
    return float(model.estimator_.link_intercept_), float(model.estimator_.link_slope_)


def _by_block(features: Sequence[str]) -> dict[str, tuple[str, ...]]:
    blocks: dict[str, list[str]] = {}
    for f in features:
        blocks.setdefault(VOCABULARY[f].block, []).append(f)
    return {b: tuple(blocks[b]) for b in ("pdl1", "dna", "rna", "blood", "clinical") if b in blocks}


def _plain(value: Any) -> Any:
    """Lists, dicts, text and finite numbers only."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
