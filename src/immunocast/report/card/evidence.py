"""The files that a card rests on: each a small table or JSON, of one model, without a row a patient."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from immunocast.cohort.vocabulary import MEASURED_SUFFIX, VOCABULARY, label
from immunocast.report.card import words
from immunocast.report.card.development import development_evaluation
from immunocast.report.card.facts import Facts
from immunocast.report.card.population import population
from immunocast.report.card.specification import coefficients, specification

#: Estimates of survival have rows of their own; a reader of the main table looks for these.
_CALIBRATION = ("oe_ratio", "calibration_intercept", "calibration_slope", "ici", "brier")
_BINS = np.linspace(0, 1, 11)


def evidence(facts: Facts) -> dict[str, pd.DataFrame | dict[str, Any] | str]:
    """Name of a file of evidence -> its content; what would be empty has no file.

    Returns
    -------
    Frames (written as CSV), dicts (as JSON) and text (as it stands).
    """
    found: dict[str, pd.DataFrame | dict[str, Any] | str] = {
        "summary.json": summary(facts),
        "outcome.json": _outcome(facts),
        "data.json": _data(facts),
        "environment.json": {**facts.code, **facts.environment},
        "specification.json": specification(facts),
        "coefficients.csv": coefficients(facts),
        "population.csv": population(facts),
        "predictors.csv": predictors(facts),
        "missing.csv": missing(facts),
        "participant_flow.csv": _flow(facts),
        "characteristics.csv": facts.shared.characteristics,
        "development_evaluation.csv": development_evaluation(facts),
        "folds.csv": _folds(facts),
        "sample_size.csv": _sample_size(facts),
        "checks.csv": facts.shared.checks,
        "limits.csv": pd.DataFrame({"limit": words.limits(facts)}),
        "tuning.csv": facts.rows("tuning"),
        "thresholds.csv": _thresholds(facts),
        "probabilities.csv": probabilities(facts),
        **_estimates(facts),
        **_explanation(facts),
    }
    config = facts.run.path / "config.yaml"
    if config.is_file():
        found["config.yaml"] = config.read_text(encoding="utf-8")
    return {name: content for name, content in found.items() if len(content)}


def _estimates(facts: Facts) -> dict[str, pd.DataFrame]:
    metrics = facts.rows("metrics")
    everybody = metrics["subgroup"] == "all"
    discordant = metrics["subgroup"] == "discordance"
    curves = facts.view.table("curves")
    own = curves[curves["model"].isin(facts.names) & curves["cohort_id"].isin(["combined", "pooled"])]
    decision = ("decision", "decision_difference")
    plain = curves[curves["model"].isin(["treat_all", "treat_none"]) & curves["cohort_id"].isin(["combined", "pooled"])]
    several = metrics["metric"].isin(_CALIBRATION) & metrics["cohort_id"].isin(["combined", "pooled"]) & everybody
    updated = metrics[several] if len(facts.names) > 1 else metrics.iloc[:0]
    beside, spread = pd.concat([own, plain]), facts.rows("heterogeneity")
    return {
        "metrics.csv": _lean(metrics[everybody]),
        "subgroups.csv": _lean(metrics[~everybody & ~discordant]),
        "discordance.csv": _lean(metrics[discordant]),
        "comparisons.csv": _lean(facts.rows("comparisons")),
        "calibration.csv": _lean(own[own["curve"].isin(["calibration", "calibration_smooth"])]),
        "decision_curve.csv": _lean(beside[beside["curve"].isin(decision)]),
        "recalibration.csv": _lean(updated),
        "heterogeneity.csv": _lean(spread[spread["estimate"].notna()]),
        "decisions.csv": _lean(facts.rows("decisions")),
        "risk_groups.csv": _lean(facts.rows("risk_groups")),
        "controls.csv": _lean(facts.rows("controls")),
    }


def _explanation(facts: Facts) -> dict[str, pd.DataFrame]:
    importance = facts.rows("importance")
    # the mean over repeats has the repeat -1
    return {
        "importance.csv": _lean(importance[(importance["subgroup"] == "all") & (importance["repeat"] == -1)]),
        "importance_stability.csv": _lean(facts.rows("importance_stability")),
        "importance_methods.csv": _lean(facts.rows("importance_methods")),
    }


def _lean(frame: pd.DataFrame) -> pd.DataFrame:
    """Without what is the same on every row of a run."""
    return frame.drop(
        columns=["scheme", "endpoint", "model" if frame["model"].nunique() < 2 else "scheme"], errors="ignore"
    )


def summary(facts: Facts) -> dict[str, Any]:
    """The card's head: title, question and verdict in sentences."""
    said = facts.verdict
    return {
        "synthetic": facts.view.synthetic,
        "title": words.title(facts),
        "question": said.question,
        "answer": said.answer,
        "calibration": said.calibration,
        "comparison": said.comparison,
        "claim": words.claim(facts),
    }


def _outcome(facts: Facts) -> dict[str, Any]:
    total, _ = facts.shared.flow
    return {
        "endpoint": facts.view.endpoint,
        "definition": facts.words.title,
        "event": facts.words.events,
        "no_event": facts.words.others,
        "settings": facts.view.manifest.get("endpoint_settings"),
        "left_out": total.excluded,
        "flags": total.flags,
        "follow_up": total.follow_up,
        "output": words.output(facts),
        "predictions": words.how_predicted(facts),
    }


def _data(facts: Facts) -> dict[str, Any]:
    known = facts.view.provenance
    keys = ("name", "synthetic", "source", "citation", "licence", "digest", "view", "notes")
    return {key: known.get(key) for key in keys if key in known}


def predictors(facts: Facts) -> pd.DataFrame:
    """Each input: unit, definition, transformation, and in how many of the analysed patients it was measured."""
    settings = (facts.bundle.content.get("params") or {}).get("features") or {}
    cohort = facts.view.cohort
    rows = []
    for name in facts.spec.inputs:
        column = VOCABULARY.get(name)
        how = settings.get(name) or {}
        known = int(cohort[name].notna().sum()) if name in cohort else 0
        flag = name + MEASURED_SUFFIX
        rows.append(
            {
                "predictor": name,
                "label": label(name),
                "unit": column.unit if column else "",
                "kind": column.kind if column else "",
                "assay": column.block if column else "",
                "definition": column.description if column else "",
                "definition_source": column.source if column else "",
                "required": name in facts.spec.required,
                "used": name not in facts.dropped_inputs,
                "prepared": ", ".join(f"{key} {value}" for key, value in how.items()) or "as it is",
                "n": len(cohort),
                "n_known": known,
                "share_known": known / len(cohort) if len(cohort) else np.nan,
                "n_imputed_at_source": int((cohort[flag] == 0).sum()) if flag in cohort else 0,
            }
        )
    return pd.DataFrame(rows)


def missing(facts: Facts) -> pd.DataFrame:
    """Share missing of each input by cohort, and over all."""
    cohort = facts.view.cohort
    if cohort.empty:
        return pd.DataFrame()
    parts = {"all": cohort, **{str(k): part for k, part in cohort.groupby("cohort_id", sort=True)}}
    rows = [
        {
            "predictor": name,
            "cohort_id": part_name,
            "n": len(part),
            "n_missing": int(part[name].isna().sum()) if name in part else len(part),
        }
        for name in facts.spec.inputs
        for part_name, part in parts.items()
    ]
    frame = pd.DataFrame(rows)
    return frame.assign(share_missing=frame["n_missing"] / frame["n"])


def probabilities(facts: Facts) -> pd.DataFrame:
    """How the predicted probabilities lie, by outcome: counts in tenths."""
    frame = facts.predictions
    rows = []
    for y, name in ((1, "event"), (0, "no event")):
        counts, _ = np.histogram(frame.loc[frame["y_true"] == y, "p_response"], bins=_BINS)
        rows += [
            {"outcome": name, "from": low, "to": high, "n": int(n)}
            for low, high, n in zip(_BINS[:-1], _BINS[1:], counts, strict=True)
        ]
    return pd.DataFrame(rows) if len(frame) else pd.DataFrame()


def _flow(facts: Facts) -> pd.DataFrame:
    total, cohorts = facts.shared.flow
    rows = [
        {
            "cohort_id": "all" if row is total else row.name,
            "rows_in_source": row.source,
            "rows_not_read": row.n_dropped,
            "read": row.read,
            "left_out": row.n_excluded,
            "analysed": row.analysed,
            "events": row.events,
            "linked_to_another_cohort": row.linked,
            "reasons": _told({**row.dropped, **row.excluded}),
            "follow_up": "; ".join(f"{k} {v}" for k, v in row.follow_up.items()),
        }
        for row in (total, *cohorts)
    ]
    return pd.DataFrame(rows)


def _told(counts: Mapping[str, int]) -> str:
    return "; ".join(f"{reason}: {n}" for reason, n in counts.items())


def _folds(facts: Facts) -> pd.DataFrame:
    """A row a fold: who was predicted, and how many trained where the thresholds' table tells."""
    frame = facts.view.table("predictions")
    frame = frame[(frame["model"] == facts.model) & (frame["recalibration"] == facts.view.recalibration(facts.model))]
    if frame.empty:
        return pd.DataFrame()
    linked = facts.view.manifest.get("n_linked_out") or {}
    trained = facts.rows("thresholds").drop_duplicates(["repeat", "fold"]).set_index(["repeat", "fold"])
    rows = []
    for key, part in frame.groupby(["repeat", "fold"], sort=True):
        repeat, fold = int(key[0]), str(key[1])  # type: ignore[call-overload]
        known = trained.loc[(repeat, fold)] if (repeat, fold) in trained.index else None
        rows.append(
            {
                "fold": fold,
                "repeat": repeat,
                "n_trained": int(known["n"]) if known is not None else pd.NA,
                "events_trained": int(known["n_events"]) if known is not None else pd.NA,
                "linked_left_out_of_training": linked.get(f"r{repeat}-{fold}", pd.NA),
                "n_predicted": len(part),
                "events_predicted": int(part["y_true"].sum()),
                "n_abstained": int(part["abstained"].sum()),
                "n_unfair": int(part["in_training"].sum()),
            }
        )
    return pd.DataFrame(rows)


def _sample_size(facts: Facts) -> pd.DataFrame:
    counts = facts.view.counts
    rows = [
        {"what": "patients analysed", "value": counts["n"], "note": ""},
        {"what": "events", "value": counts["n_events"], "note": ""},
        {"what": "share of events", "value": counts["n_events"] / counts["n"] if counts["n"] else np.nan, "note": ""},
    ]
    control = facts.rows("controls")
    for row in control[control["control"] == "events_per_parameter"].to_dict("records"):
        rows.append({"what": "events per parameter", "value": row["estimate"], "note": row["note"]})
    return pd.DataFrame(rows) if counts["n"] else pd.DataFrame()


def _thresholds(facts: Facts) -> pd.DataFrame:
    """Rules that chose thresholds in each fold, and the fixed ones of the configuration."""
    learned = facts.rows("thresholds").drop(columns=["scheme", "endpoint", "model"], errors="ignore")
    learned = learned[["rule", *(c for c in learned if c != "rule")]]
    fixed = [
        {
            "rule": "fixed",
            "recalibration": "none",
            "fold": "all",
            "threshold": float(t),
            "note": "evaluation.thresholds",
        }
        for t in facts.view.manifest.get("thresholds") or []
    ]
    frames = [f for f in (learned, pd.DataFrame(fixed)) if len(f)]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
