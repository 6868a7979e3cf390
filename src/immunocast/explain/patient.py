"""One patient of a run: the probability, what raised and lowered it, on what it rested, and who was alike.

All of it comes from models that did not train on the patient: those of the fold that held the patient out.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from immunocast.cohort.vocabulary import FEATURES, MEASURED_SUFFIX, VOCABULARY
from immunocast.errors import ConfigError, NotFoundError
from immunocast.explain.domain import domain_warnings
from immunocast.explain.inputs import ExplainInputs
from immunocast.explain.neighbours import K, Neighbours, similar_patients
from immunocast.explain.plan import plan_explanations
from immunocast.explain.whatif import Asked, WhatIf, what_if
from immunocast.models.assays import inputs_used
from immunocast.models.blend import Blend
from immunocast.validation.splits import fold_key

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


def explain_patient(
    run: ExplainInputs,
    tables: Mapping[str, pd.DataFrame],
    patient_id: str,
    model: str,
    *,
    asked: Sequence[Asked] = (),
    top: int = 0,
    k: int = K,
    repeat: int | None = None,
) -> PatientExplanation:
    """Explain a held-out patient of a run.

    Parameters
    ----------
    run : what explanation sees of the run.
    tables : its tables shap, stability and conformal; an absent one costs what it holds.
    patient_id : of the cohort table.
    model : an explained model.
    asked : what-if questions; a value outside of what the model saw is refused.
    top : also along the strongest so many features; those that cannot be varied are passed over.
    k : neighbours.
    repeat : one repetition of the scheme; None for the mean over all.

    Raises
    ------
    NotFoundError
        For an unknown patient (with near matches), one without a held-out prediction, and a model that the run does not
        explain.
    ConfigError
        For a question that the model cannot answer.
    """
    patient = find_patient(run.cohort, patient_id)
    _require_explained(run, tables, model)
    rows = run.predictions
    rows = rows[(rows["model"] == model) & (rows["patient_id"] == patient_id) & ~rows["in_training"]]
    rows = rows[rows["repeat"] == repeat] if repeat is not None else rows
    if rows.empty:
        raise NotFoundError(_why_no_prediction(run, patient_id))
    own = rows[rows["recalibration"] == "none"].sort_values(["repeat", "fold"])
    folds = [(int(r), str(f)) for r, f in zip(own["repeat"], own["fold"], strict=True)]
    models = [run.load_model(model, fold_key(*fold)) for fold in folds]
    training, y = _training(run, *folds[0])
    stated = Stated(
        patient=patient,
        model=model,
        models=models,
        training=training,
        y=y,
        endpoint=run.endpoint,
        scheme=run.scheme_name,
        folds=tuple(folds),
        linked=_linked(run.cohort, patient),
        outcome=int(own["y_true"].iloc[0]),
        reason="" if not own["abstained"].all() else _missing_required(models[0], patient),
        probability=float(own["p_response"].mean()),
        recalibrated={
            str(name): float(part.mean())
            for name, part in rows[rows["recalibration"] != "none"].groupby("recalibration")["p_response"]
            if part.notna().any()
        },
        range=_range(tables.get("stability"), patient_id, model),
        sets=_sets(tables.get("conformal"), patient_id, model),
    )
    shap = tables["shap"]
    shap = shap[(shap["model"] == model) & (shap["patient_id"] == patient_id)]
    return stated.explained(shap[shap["repeat"].isin([r for r, _ in folds])], asked, top, k)


@dataclass(frozen=True)
class Stated:
    """What is known of a patient before the explanation is put together; see `PatientExplanation`."""

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
            warnings=domain_warnings(self.patient, self.training, spec.inputs, used, neighbours),
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


def find_patient(cohort: pd.DataFrame, patient_id: str) -> pd.DataFrame:
    """The patient's row of the cohort table.

    Raises
    ------
    NotFoundError
        With the ids that are nearest to what was given.
    """
    found = cohort[cohort["patient_id"] == patient_id]
    if len(found):
        return found.reset_index(drop=True)
    ids = cohort["patient_id"].astype(str).tolist()
    ends = [i for i in ids if patient_id and i.casefold().endswith(patient_id.casefold())]
    if ends:
        shown = ", ".join(ends[:5]) + (f" and {len(ends) - 5} more" if len(ends) > 5 else "")
        several = "several patients have ids that end so" if len(ends) > 1 else "a patient has an id that ends so"
        raise NotFoundError(f"There is no patient {patient_id!r}; {several}: {shown}. Give the whole id.")
    near = difflib.get_close_matches(patient_id, ids, n=3, cutoff=0.6)
    hint = f"Near matches: {', '.join(near)}." if near else f"Ids look like {ids[0]!r}." if ids else ""
    raise NotFoundError(
        f"There is no patient {patient_id!r} among the {len(ids)} of the run. {hint} For a new patient give --file."
    )


def _require_explained(run: ExplainInputs, tables: Mapping[str, pd.DataFrame], model: str) -> None:
    explained = sorted(set(tables["shap"]["model"])) if "shap" in tables else []
    if model in explained:
        return
    known = f"Explained models: {', '.join(explained)}." if explained else "This run explains no model."
    if model not in run.models:
        raise NotFoundError(f"The run has no model {model!r}. {known}")
    if not run.models[model].spec.learned:
        raise NotFoundError(f"{model} is a published rule: it is read, not explained. {known}")
    plan = plan_explanations(run, "none").get(model)
    why = f" ({plan.reason})" if plan and plan.reason else ""
    raise NotFoundError(
        f"{model} is not explained in this run{why}. {known} explain.fallback=sampled in a run estimates it."
    )


def _why_no_prediction(run: ExplainInputs, patient_id: str) -> str:
    if pd.isna(run.y[(run.cohort["patient_id"] == patient_id).to_numpy()].iloc[0]):
        why = f"the outcome ({run.endpoint}) is not known"
    else:
        why = f"{run.scheme_name} never held the patient out, or another id of the same person"
    return (
        f"Patient {patient_id} has no held-out prediction: {why}. A model is only shown on patients whom it did not "
        "train on. For the final model give the patient's values in a table: --file."
    )


def _missing_required(model: Any, patient: pd.DataFrame) -> str:
    missing = [f for f in model.spec.required if f not in patient or patient[f].isna().iloc[0]]
    return f"missing: {', '.join(missing)}" if missing else "outside of the model's population"


def _training(run: ExplainInputs, repeat: int, fold: str) -> tuple[pd.DataFrame, np.ndarray]:
    positions = run.splits[repeat, fold].train
    return run.table.iloc[positions], run.labels[positions]


def _linked(cohort: pd.DataFrame, patient: pd.DataFrame) -> tuple[str, ...]:
    same = cohort[cohort["person_id"] == patient["person_id"].iloc[0]]["patient_id"]
    return tuple(sorted(str(i) for i in same if i != patient["patient_id"].iloc[0]))


def _range(stability: pd.DataFrame | None, patient_id: str, model: str) -> Range | None:
    if stability is None:
        return None
    row = stability[(stability["patient_id"] == patient_id) & (stability["model"] == model)]
    if row.empty:
        return None
    first = row.iloc[0]
    return Range(float(first["p_low"]), float(first["p_high"]), int(first["n_refits"]))


def _sets(conformal: pd.DataFrame | None, patient_id: str, model: str) -> tuple[PredictionSet, ...]:
    if conformal is None:
        return ()
    rows = conformal[(conformal["patient_id"] == patient_id) & (conformal["model"] == model)]
    return sets_of(rows.sort_values("coverage"))


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
