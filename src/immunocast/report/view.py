"""A run as the report sees it: tables read once, models in a fixed order, look-ups of single estimates."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import pandas as pd

from immunocast.cohort.outcomes import words_of
from immunocast.errors import NotFoundError
from immunocast.report import text
from immunocast.store.runfolder import RunFolder
from immunocast.store.schemas import TABLES

#: Names under which estimates over all cohorts are stored, the preferred one first.
OVERALL = ("combined", "pooled")


class RunView:
    """Read-only look at a run folder.

    Parameters
    ----------
    run : a run folder with a manifest; tables may be absent, they read as empty then.

    Raises
    ------
    NotFoundError
        Where the folder has no manifest, or the manifest lacks what every report needs.
    """

    def __init__(self, run: RunFolder):
        self.run = run
        self.manifest = run.manifest()
        absent = [k for k in ("endpoint", "scheme", "models", "headline_model") if k not in self.manifest]
        if absent:
            raise NotFoundError(
                f"{run.path}/manifest.json lacks {', '.join(absent)}. Run the stages before `report` first."
            )
        self.endpoint: str = self.manifest["endpoint"]
        #: how to speak of the endpoint, with its settings as the run had them
        self.words = words_of(self.endpoint, self.manifest.get("endpoint_settings"))
        self.scheme: str = self.manifest["scheme"]
        self.headline: str = self.manifest["headline_model"]
        self.reference: str = self.manifest.get("reference_model") or ""
        self.models: dict[str, dict[str, Any]] = self.manifest["models"]
        self.provenance: dict[str, Any] = self.manifest.get("provenance", {})
        self._tables: dict[str, pd.DataFrame] = {}

    def about(self, model: str) -> RunView:
        """The same run with another model in the headline's place, so that its sentences speak of that one.

        Tables that were read are shared, not read again.
        """
        other = copy.copy(self)
        other.headline = model
        for name in ("order", "graded", "explained"):  # the order of models begins with the headline
            other.__dict__.pop(name, None)
        return other

    # ---- tables

    def table(self, name: str) -> pd.DataFrame:
        """A table of the run; empty, with its columns, where it was not written."""
        if name not in self._tables:
            if self.run.has_table(name):
                frame = self.run.table(name)
            else:
                frame = pd.DataFrame({c: pd.Series(dtype="object") for c in TABLES[name].columns})
            if "scheme" in frame:
                frame = frame[frame["scheme"] == self.scheme].reset_index(drop=True)
            self._tables[name] = frame
        return self._tables[name]

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """Fair predictions of the models' own output: one row a patient and model, repeats averaged."""
        frame = self.table("predictions")
        if frame.empty:
            return frame
        frame = frame[~frame["in_training"] & ~frame["abstained"] & frame["p_response"].notna()]
        primary = frame["model"].map({m: self.recalibration(m) for m in self.order})
        frame = frame[(frame["recalibration"] == primary).to_numpy()]
        keys = ["model", "cohort_id", "patient_id"]
        return frame.groupby(keys, sort=True, as_index=False).agg(
            y_true=("y_true", "first"), p_response=("p_response", "mean")
        )

    @cached_property
    def analysed(self) -> pd.DataFrame:
        """The analysed patients (those with predictions) with their outcome: patient_id, cohort_id, y_true."""
        frame = self.table("predictions")
        return frame.drop_duplicates("patient_id")[["patient_id", "cohort_id", "y_true"]].reset_index(drop=True)

    @cached_property
    def cohort(self) -> pd.DataFrame:
        """Rows of the cohort table that were analysed; all of them where there are no predictions."""
        frame = self.table("cohort")
        if self.analysed.empty:
            return frame
        return frame[frame["patient_id"].isin(set(self.analysed["patient_id"]))].reset_index(drop=True)

    # ---- words

    @property
    def synthetic(self) -> bool:
        """Whether no patient exists."""
        return bool(self.provenance.get("synthetic", False))

    @property
    def name(self) -> str:
        """Name of the cohort configuration."""
        return str(self.provenance.get("name", "unnamed"))

    def label(self, model: str) -> str:
        """What a model is called in figures and tables."""
        if model in ("treat_all", "treat_none"):
            # who would act on a high probability of harm need not treat
            act = "Act on" if self.words.harm else "Treat"
            return f"{act} {model.removeprefix('treat_')}"
        if model not in self.models and "+" in model:
            model, _, recalibration = model.partition("+")
            return f"{self.label(model)}, recalibrated ({text.recalibration_label(recalibration)})"
        entry = self.models.get(model, {})
        name = entry.get("label") or entry.get("spec", {}).get("label") or model
        return str(name).replace(">=", "≥")

    def relabel(self, note: str | None) -> str:
        """A note with the names of models as readers know them; "" for none."""
        words = note.strip() if isinstance(note, str) else ""
        names = sorted(self.models, key=len, reverse=True)
        if not names:
            return words
        # with its recalibration where it has one: a recalibrated model is another one than its raw output
        found = re.compile(rf"(?<![\w+])(?:{'|'.join(map(re.escape, names))})(?:\+\w+)?(?![\w+])")
        return found.sub(lambda match: self.label(match[0]), words)

    # ---- models

    @cached_property
    def order(self) -> list[str]:
        """Models: headline, reference, learners, published formulas, single-marker rules."""
        known = set(self.models)
        for name in ("metrics", "predictions"):
            frame = self.table(name)
            known |= set(frame["model"]) if len(frame) else set()

        def place(model: str) -> tuple[int, str]:
            if model == self.headline:
                return (0, model)
            if model == self.reference:
                return (1, model)
            if self.models.get(model, {}).get("spec", {}).get("learned", False):
                return (2, model)
            return (4 if model in self.rules else 3, model)

        return sorted(known, key=place)

    @cached_property
    def rules(self) -> set[str]:
        """Models whose predictions take no more than two values in any fold: single-marker cut-offs."""
        frame = self.table("predictions")
        frame = frame[frame["p_response"].notna()]
        if frame.empty:
            return set()
        values = frame.groupby(["model", "recalibration", "repeat", "fold"])["p_response"].nunique()
        # an update inside the test cohort gives a rule more than two values: its own output tells
        most = values.groupby(["model", "recalibration"]).max().groupby("model").min()
        return {str(m) for m in most.index[most <= 2]}

    def operating_point(self, model: str) -> tuple[float, float] | None:
        """(1 - specificity, sensitivity) of a rule: positive is the higher one of its two values in a fold."""
        frame = self.table("predictions")
        frame = frame[(frame["model"] == model) & (frame["recalibration"] == self.recalibration(model))]
        frame = frame[~frame["in_training"] & frame["p_response"].notna()]
        folds = frame.groupby(["repeat", "fold"])["p_response"]
        positive = (frame["p_response"] == folds.transform("max")) & (folds.transform("nunique") == 2)
        events = frame["y_true"] == 1
        if events.all() or not events.any():
            return None
        return float(positive[~events].mean()), float(positive[events].mean())

    def recalibration(self, model: str) -> str:
        """The recalibration shown first for a model: its own output where that is stored."""
        found = self._recalibrations.get(model, ["none"])
        return "none" if "none" in found else found[0]

    @cached_property
    def _recalibrations(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name in ("metrics", "predictions"):
            frame = self.table(name)
            for model, recalibration in frame[["model", "recalibration"]].drop_duplicates().itertuples(index=False):
                found.setdefault(model, [])
                if recalibration not in found[model]:
                    found[model].append(recalibration)
        return {model: sorted(values, key=lambda r: (r != "none", r)) for model, values in found.items()}

    def variants(self) -> list[tuple[str, str, str]]:
        """(model, recalibration, label) for every recalibration of every model, in report order."""
        rows = []
        for model in self.order:
            for r in self._recalibrations.get(model, []):
                suffix = "" if r == "none" else f", recalibrated ({text.recalibration_label(r)})"
                rows.append((model, r, self.label(model) + suffix))
        return rows

    # ---- estimates

    @cached_property
    def cohort_ids(self) -> list[str]:
        """Cohorts with estimates, or with analysed patients, largest first."""
        analysed = self.analysed
        if len(analysed):
            counts = analysed["cohort_id"].value_counts()
            return sorted(counts.index, key=lambda c: (-counts[c], c))
        metrics = self.table("metrics")
        return sorted(set(metrics["cohort_id"]) - set(OVERALL))

    def metric(
        self,
        metric: str,
        model: str,
        cohort_id: str | None = None,
        recalibration: str | None = None,
        threshold: float | None = None,
        subgroup: str = "all",
        level: str = "all",
    ) -> dict[str, Any] | None:
        """The stored row of one estimate, as a dict; None where it was not estimated.

        `cohort_id` None means over all cohorts; `recalibration` None means the model's primary one.
        """
        recalibration = self.recalibration(model) if recalibration is None else recalibration
        rows = self._estimates.get((metric, model, recalibration, subgroup, level), [])
        if threshold is not None:
            rows = [r for r in rows if abs(r["threshold_or_horizon"] - threshold) < 1e-9]
        return _first(rows, cohort_id)

    @cached_property
    def _estimates(self) -> dict[tuple[str, ...], list[dict[str, Any]]]:
        """Rows of the metrics table by metric, model, recalibration, subgroup and level."""
        keys = ("metric", "model", "recalibration", "subgroup", "level")
        found: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        for row in self.table("metrics").to_dict("records"):
            found.setdefault(tuple(str(row[k]) for k in keys), []).append({str(k): v for k, v in row.items()})
        return found

    def comparison(self, metric: str, model: str, cohort_id: str | None = None) -> dict[str, Any] | None:
        """The stored row of a comparison with the reference model; None where there is none."""
        frame = self.table("comparisons")
        if frame.empty:
            return None
        keep = (frame["metric"] == metric) & (frame["model"] == model) & (frame["reference_model"] == self.reference)
        keep &= frame["subgroup"] == "all"
        return _first([{str(k): v for k, v in r.items()} for r in frame[keep].to_dict("records")], cohort_id)

    def curve_points(self, curve: str) -> dict[str, pd.DataFrame]:
        """Points of a curve over all cohorts by model, ordered by x; empty where there are none."""
        frame = self.table("curves")
        frame = frame[frame["curve"] == curve]
        for overall in OVERALL:
            rows = frame[(frame["cohort_id"] == overall) & frame["y"].notna()]
            if len(rows):
                return {str(m): g.sort_values(["x", "y"]) for m, g in rows.groupby("model")}
        return {}

    @cached_property
    def graded(self) -> list[str]:
        """Models whose predictions take many values, in report order."""
        present = set(self.predictions["model"])
        return [m for m in self.order if m in present and m not in self.rules]

    @property
    def middle_threshold(self) -> float | None:
        """The middle one of the decision thresholds (the upper one of two)."""
        thresholds = sorted(self.manifest.get("thresholds") or [])
        return float(thresholds[len(thresholds) // 2]) if thresholds else None

    @cached_property
    def explained(self) -> list[str]:
        """Models with SHAP values, in report order."""
        present = set(self.table("shap")["model"])
        return [m for m in self.order if m in present]

    @property
    def explained_model(self) -> str | None:
        """The model that the SHAP pictures show: the headline model, else the first with values."""
        if self.headline in self.explained:
            return self.headline
        return self.explained[0] if self.explained else None

    @cached_property
    def counts(self) -> dict[str, Any]:
        """n, n_events and rate of the analysed patients."""
        frame = self.analysed
        n, events = len(frame), int(frame["y_true"].sum()) if len(frame) else 0
        return {"n": n, "n_events": events, "rate": text.percent(events, n)}

    @cached_property
    def findings(self) -> pd.DataFrame:
        """Findings of all checks, of the data and of the results, the most severe first."""
        frames = [self.table(name) for name in ("checks", "model_checks") if name in TABLES]
        frames = [f for f in frames if len(f)] or frames[:1]
        found = pd.concat(frames, ignore_index=True)
        place = found["severity"].map({"error": 0, "warning": 1, "info": 2}).fillna(3)
        return found.assign(place=place).sort_values("place", kind="stable", ignore_index=True).drop(columns="place")

    @property
    def warnings(self) -> pd.DataFrame:
        """Findings of severity error or warning, waived ones included."""
        return self.findings[self.findings["severity"].isin(["error", "warning"])]


def _first(rows: Sequence[dict[str, Any]], cohort_id: str | None) -> dict[str, Any] | None:
    for name in OVERALL if cohort_id is None else (cohort_id,):
        for row in rows:
            if row["cohort_id"] == name:
                return dict(row)
    return None
