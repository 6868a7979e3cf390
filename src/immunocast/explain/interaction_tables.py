"""The tables interactions and interaction_values: which pairs of features tell more together than each alone.

Every patient is explained by the fold models that did not train on that patient. Intervals come from a bootstrap over
persons with the fitted models held fixed, as for `explain.importance`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from immunocast.engines import Engine, SerialEngine
from immunocast.errors import ConfigError
from immunocast.explain.importance import MIN_PATIENTS, _Draws
from immunocast.explain.inputs import ExplainInputs
from immunocast.explain.model_interactions import explain_interactions
from immunocast.explain.out_of_fold import PREDICTION_TOLERANCE
from immunocast.explain.plan import Plan, known_models, plan_explanations
from immunocast.validation.splits import fold_key

#: Mean absolute interaction (log-odds, probability or log-hazard) up to which a pair has none but rounding.
LEAST = 1e-9
#: Patients whose matrices are held at a time.
_ROWS = 500


@dataclass(frozen=True)
class _Fold:
    """Packed matrices of a fold: `values` are (n, cells), the upper triangle with the diagonal, pairs whole."""

    head: pd.DataFrame
    features: tuple[str, ...]
    values: np.ndarray
    scale: str


def interaction_tables(
    run: ExplainInputs,
    settings: Mapping[str, Any],
    *,
    n_resamples: int = 2000,
    seed: int = 0,
    engine: Engine | None = None,
) -> dict[str, pd.DataFrame]:
    """The tables interactions and interaction_values.

    Parameters
    ----------
    run : the run.
    settings : the section `explain.interactions` of the configuration: `models`, and `n_pairs`, the strongest pairs of
        a model whose values are kept for each patient.
    n_resamples, seed : of the bootstrap over persons.
    engine : spreads the folds.

    Returns
    -------
    Pairs that interact in some patient, by model; a model without any has no row, see `interaction_notes`.

    Raises
    ------
    ConfigError
        For a model that the run does not have, or fewer pairs than one.
    ArithmeticError
        Where a bundle does not give the predictions that are stored, or interactions do not add up.
    """
    n_pairs = settings["n_pairs"]
    if isinstance(n_pairs, bool) or not isinstance(n_pairs, int) or n_pairs < 1:
        raise ConfigError(f"explain.interactions.n_pairs is {n_pairs!r}; it must be a whole number of 1 or more.")
    names = [n for n, plan in _plans(run, interaction_models(run, settings["models"])).items() if plan.how == "exact"]
    own = (run.predictions["recalibration"] == "none") & ~run.predictions["abstained"]
    rows = run.predictions[run.predictions["model"].isin(names) & own]
    groups = list(rows.groupby(["model", "scheme", "endpoint", "repeat", "fold"], sort=True))
    by_patient = run.cohort.set_index("patient_id", drop=False)

    def explain(group: tuple[tuple[Any, ...], pd.DataFrame]) -> _Fold:
        (name, _, _, repeat, fold), part = group
        model = run.load_model(str(name), fold_key(int(repeat), str(fold)))
        X = run.frame(str(name), by_patient.loc[part["patient_id"]])
        blocks: list[np.ndarray] = []
        p: list[np.ndarray] = []
        features: tuple[str, ...] = ()
        scale = ""
        for start in range(0, len(X), _ROWS):
            found = explain_interactions(model, X.iloc[start : start + _ROWS])
            upper = np.triu_indices(len(found.features))
            blocks.append(found.values[:, upper[0], upper[1]] * np.where(upper[0] == upper[1], 1.0, 2.0))
            p.append(found.p)
            features, scale = found.features, found.scale
        gap = float(np.max(np.abs(np.concatenate(p) - part["p_response"].to_numpy()), initial=0.0))
        if not gap <= PREDICTION_TOLERANCE:
            raise ArithmeticError(f"The bundle of {name}, fold {fold}, misses its stored predictions by {gap:.2g}.")
        head = part[["patient_id", "cohort_id", "model", "scheme", "repeat", "fold", "endpoint"]]
        return _Fold(head.reset_index(drop=True), features, np.concatenate(blocks), scale)

    folds = (engine or SerialEngine()).map(explain, groups)
    persons = by_patient["person_id"]
    draws, pairs, values = _Draws(n_resamples, seed), [], []
    for key in dict.fromkeys(group[:3] for group, _ in groups):
        mine = [fold for (group, _), fold in zip(groups, folds, strict=True) if group[:3] == key]
        table, strongest = _summary(mine, persons, n_pairs, draws)
        model, scheme, endpoint = map(str, key)
        pairs.append(table.assign(model=model, scheme=scheme, endpoint=endpoint))
        values.append(strongest)
    return {
        "interactions": pd.concat(pairs, ignore_index=True) if pairs else pd.DataFrame(),
        "interaction_values": pd.concat(values, ignore_index=True) if values else pd.DataFrame(),
    }


def _plans(run: ExplainInputs, models: Sequence[str]) -> dict[str, Plan]:
    """How each model is explained, without its estimates; published rules are not explained at all."""
    names = known_models(run, models, "interactions")
    plans = plan_explanations(run, "none")
    rule = Plan("none", "a published rule is read, not explained")
    return {name: plans.get(name, rule) for name in names}


def _summary(
    folds: Sequence[_Fold], persons: pd.Series, n_pairs: int, draws: _Draws
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of both tables for one model."""
    features = tuple(sorted({name for fold in folds for name in fold.features}))
    first, second = np.triu_indices(len(features))
    values = np.concatenate([_on(fold, features) for fold in folds])
    head = pd.concat([fold.head for fold in folds], ignore_index=True)
    absolute = pd.DataFrame(np.abs(values)).groupby(head["patient_id"], sort=True).mean()
    mean = absolute.mean(axis=0).to_numpy()
    there = np.flatnonzero((first != second) & (mean > LEAST))
    scale = folds[0].scale
    n = len(absolute)
    means = draws.means([absolute.iloc[:, there].to_numpy()], persons.loc[absolute.index].to_numpy())[0]
    low, high = np.percentile(means, [2.5, 97.5], axis=0)
    table = pd.DataFrame(
        {
            "feature_a": [features[k] for k in first[there]],
            "feature_b": [features[k] for k in second[there]],
            "n": n,
            "mean_abs_interaction": mean[there],
            "ci_low": low if n >= MIN_PATIENTS else np.nan,
            "ci_high": high if n >= MIN_PATIENTS else np.nan,
            "share": mean[there] / mean.sum(),
            "rank": rankdata(-mean[there], method="min").astype(int),
            "output_scale": scale,
        }
    )
    strongest = [
        head.assign(
            feature_a=features[first[there[k]]],
            feature_b=features[second[there[k]]],
            value=values[:, there[k]],
            output_scale=scale,
        )
        for k in np.lexsort((there, table["rank"]))[:n_pairs]
    ]
    return table, pd.concat(strongest, ignore_index=True) if strongest else pd.DataFrame()


def _on(fold: _Fold, features: tuple[str, ...]) -> np.ndarray:
    """Cells of a fold on the features of all folds: a blend's parts may differ."""
    if fold.features == features:
        return fold.values
    cells = np.full((len(features), len(features)), -1)
    cells[np.triu_indices(len(features))] = np.arange(len(features) * (len(features) + 1) // 2)
    at = np.array([features.index(name) for name in fold.features])
    upper = np.triu_indices(len(at))
    out = np.zeros((len(fold.values), cells.max() + 1))
    out[:, cells[at[upper[0]], at[upper[1]]]] = fold.values
    return out


def interaction_models(run: ExplainInputs, chosen: Sequence[str] | None) -> list[str]:
    """`explain.interactions.models`; None: the models that are explained as XGBoost."""
    if chosen is not None:
        return list(chosen)
    return [name for name, model in run.models.items() if model.spec.explainer == "xgboost"]


def interaction_notes(run: ExplainInputs, models: Sequence[str] | None, interactions: pd.DataFrame) -> list[str]:
    """Sentences on chosen models that have no interactions in the table, for the run's warnings.

    Parameters
    ----------
    run : the run.
    models : `explain.interactions.models`.
    interactions : the table of the run.
    """
    listed = set(interactions["model"]) if len(interactions) else set()
    said = []
    for name, plan in _plans(run, interaction_models(run, models)).items():
        label = run.models[name].spec.label or name
        if plan.how != "exact":
            said.append(f"{label} has no exact interactions: {plan.reason}.")
        elif name not in listed:
            said.append(f"{label} has no interactions: on the scale of its explanations it adds its features up.")
    return said
