"""What the tables on stability, other methods and agreement say, in sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pandas as pd

from immunocast.cohort.vocabulary import label as feature_label
from immunocast.explain.stability import LOST, MIN_DRAWS, NONE, STABLE

_SOURCES = {"refits": "bootstrap refits", "cohorts": "cohorts", "folds": "folds", "repeats": "repeats"}
_METHODS = {"permutation": "Permutation importance", "drop_column": "Drop-column importance"}


def stability_sentences(
    stability: pd.DataFrame,
    methods: pd.DataFrame,
    agreement: pd.DataFrame,
    *,
    label: Callable[[str], str] = str,
) -> list[str]:
    """Say how stable importances are, whether other methods agree, and whether models and cohorts do.

    Parameters
    ----------
    stability, methods, agreement : tables importance_stability, importance_methods and agreement; any may be empty.
    label : name of a model -> how it is called.

    Returns
    -------
    Sentences; what was not done is said as well.
    """
    return [*draw_sentences(stability, label=label), *agreement_sentences(methods, agreement, label=label)]


def draw_sentences(stability: pd.DataFrame, *, label: Callable[[str], str] = str) -> list[str]:
    """The part of `stability_sentences` on refits, cohorts, folds and repeats."""
    said = [*_over_draws(stability, label)]
    if stability.empty or not (stability["source"] == "refits").any():
        said.append("No model was refitted: how importance moves when other patients train is not known.")
    return said


def agreement_sentences(
    methods: pd.DataFrame, agreement: pd.DataFrame, *, label: Callable[[str], str] = str
) -> list[str]:
    """The part of `stability_sentences` on other methods, other models and other cohorts."""
    said = [*_beside_shap(methods, label)]
    if methods.empty:
        said.append("Importance was measured by SHAP alone.")
    said += [*_models(agreement, label), *_cohorts(agreement, label)]
    if agreement.empty:
        said.append("There are no two models, cohorts or methods whose importances could be compared.")
    return said


def _over_draws(frame: pd.DataFrame, label: Callable[[str], str]) -> Iterator[str]:
    if frame.empty:
        return
    for model in dict.fromkeys(frame["model"]):
        for source, words in _SOURCES.items():
            rows = frame[(frame["model"] == model) & (frame["source"] == source)].sort_values(["rank", "feature"])
            if rows.empty:
                continue
            n, of = int(rows["n_draws"].max()), int(rows["n_features"].iloc[0])
            head = f"{label(str(model))} over {n} {words}: "
            if (rows["verdict"] == NONE).all():
                body = f"fewer than {MIN_DRAWS} draws, so no verdict on ranks"
            else:
                body = _verdicts(rows, of)
            turned = rows[rows["sign_consistency"] < 1]
            if len(turned):
                which = ", ".join(
                    f"{feature_label(f)} (another in {_percent(1 - s)})"
                    for f, s in zip(turned["feature"], turned["sign_consistency"], strict=True)
                )
                body += f"; the direction is not always that of the run for {which}"
            elif rows["sign_consistency"].notna().any():
                body += "; every direction is that of the run throughout"
            yield f"{head}{body}."


def _verdicts(rows: pd.DataFrame, n_features: int) -> str:
    kept = rows[rows["verdict"] == STABLE]
    lost = rows[rows["verdict"] == LOST]
    parts = []
    if len(kept):
        spans = (
            f"{feature_label(f)} (rank {int(low)}{f' to {int(high)}' if high > low else ''})"
            for f, low, high in zip(kept["feature"], kept["rank_low"], kept["rank_high"], strict=True)
        )
        parts.append(f"stable: {', '.join(spans)}")
    if len(lost):
        names = ", ".join(feature_label(f) for f in lost["feature"])
        parts.append(f"not distinguishable, ranks over more than half of the {n_features} features: {names}")
    return "; ".join(parts)


def _beside_shap(frame: pd.DataFrame, label: Callable[[str], str]) -> Iterator[str]:
    if frame.empty:
        return
    for (model, method), rows in frame.groupby(["model", "method"], sort=True):
        head = f"{_METHODS[str(method)]} of {label(str(model))}"
        known = rows[rows["estimate"].notna()]
        apart = known[known["disagrees"].astype(bool)].sort_values(["shap_rank", "feature"])
        if known.empty:
            yield f"{head}: no estimate ({rows['note'].iloc[0]})."
        elif apart.empty:
            yield f"{head} does not contradict SHAP: for all {len(known)} features the intervals of both ranks meet."
        else:
            told = "; ".join(
                f"{feature_label(f)} (rank {int(own)}, SHAP {int(shap)}): {note}"
                for f, own, shap, note in zip(
                    apart["feature"], apart["rank"], apart["shap_rank"], apart["note"], strict=True
                )
            )
            yield f"{head} ranks {len(apart)} of {len(known)} features apart from SHAP: {told}."


def _models(frame: pd.DataFrame, label: Callable[[str], str]) -> Iterator[str]:
    if frame.empty:
        return
    for row in frame[frame["between"] == "models"].to_dict("records"):
        pair = f"{label(str(row['a']))} and {label(str(row['b']))}"
        if pd.isna(row["rank_correlation"]):
            yield f"{pair}: importances are not compared ({row['note']})."
            continue
        text = f"{pair} rank {row['n_features']} features with a Spearman correlation of {row['rank_correlation']:.2f}"
        if not pd.isna(row["ci_low"]):
            text += f" ({row['ci_low']:.2f} to {row['ci_high']:.2f})"
        if not pd.isna(row["top_shared"]):
            text += f"; {int(row['top_shared'])} of the first five are the same"
        if not pd.isna(row["same_direction"]):
            text += f"; {_percent(row['same_direction'])} of the importance has the same direction"
        yield f"{text}."


def _cohorts(frame: pd.DataFrame, label: Callable[[str], str]) -> Iterator[str]:
    if frame.empty:
        return
    rows = frame[(frame["between"] == "cohorts") & frame["rank_correlation"].notna()]
    for model, part in rows.groupby("model", sort=True):
        low, high = part["rank_correlation"].min(), part["rank_correlation"].max()
        span = f"{low:.2f}" if len(part) == 1 else f"{low:.2f} to {high:.2f}"
        text = f"{label(str(model))} between cohorts: Spearman correlation of importances {span} ({len(part)} pairs)"
        directed = part[part["same_direction"].notna()].sort_values(["same_direction", "a", "b"])
        if len(directed):
            worst = directed.iloc[0]
            text += f"; at least {_percent(worst['same_direction'])} of the importance has the same direction"
            if worst["same_direction"] < 1:
                text += f" ({worst['a']} and {worst['b']} differ most)"
        yield f"{text}."


def _percent(share: float) -> str:
    """Never 100 % or 0 % unless it is."""
    shown = 100 * share
    return f"{min(shown, 99):.0f} %" if 99 < shown < 100 else f"{shown:.0f} %"
