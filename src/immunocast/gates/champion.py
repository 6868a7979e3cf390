"""The gate against the present champion: two runs, patient by patient, on what both predict fairly.

Each run knows which patients it trained on, and which patients are one person. Here both are put together: persons
are those of either run, and a patient whose other id only the other run knows to be the same person is left out
where this run may have trained on that id.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from immunocast.gates.evidence import Evidence
from immunocast.gates.reference import non_inferior
from immunocast.gates.settings import AgainstChampion
from immunocast.gates.verdict import PASSED, Finding, unknown
from immunocast.metrics import METRICS, influence_difference
from immunocast.store.runfolder import RunFolder
from immunocast.validation.evaluate_comparisons import why_left_out
from immunocast.validation.evaluate_estimates import cohort_masks, combined_influence, masks_for, persons_of
from immunocast.validation.evaluate_inputs import panels

_KEY = ["cohort_id", "patient_id"]


@dataclass(frozen=True)
class Common:
    """The patients whom two runs have in common.

    Attributes
    ----------
    predictions : rows of both models as of one run, named "candidate" and "champion"; persons are those of either.
    n_common : patients with a prediction in both runs.
    n_changed : those of them left out because the runs give them another outcome.
    n_linked : those left out because a run may have trained on the same person under another id.
    """

    predictions: pd.DataFrame
    n_common: int
    n_changed: int
    n_linked: int


def auroc_vs_champion(evidence: Evidence, settings: AgainstChampion) -> Finding:
    """AUROC non-inferior to the champion's, by DeLong's paired test with persons as the unit."""
    champion = evidence.champion
    if champion is None:
        return Finding(PASSED, "no champion yet")
    if champion.run is None:
        return unknown(f"the predictions of {champion.title} are not at hand: {champion.absent}")
    ours, theirs = evidence.run.manifest(), champion.run.manifest()
    for key, what in (("endpoint", "endpoint"), ("endpoint_settings", "settings of the endpoint")):
        if ours.get(key) != theirs.get(key):
            return unknown(f"{champion.title} has another {what}: {theirs.get(key)}, here {ours.get(key)}")
    if settings.same_scheme and ours.get("scheme") != theirs.get("scheme"):
        return unknown(
            f"{champion.title} was validated by {theirs.get('scheme')}, this run by {ours.get('scheme')}: "
            "another question"
        )
    if not (evidence.run.has_table("predictions") and champion.run.has_table("predictions")):
        whose = champion.title if evidence.run.has_table("predictions") else "this run"
        return unknown(f"the predictions of {whose} are not at hand: its tables of patients were not published")
    common = common_predictions(evidence.run, evidence.model, champion.run, champion.model)
    if common.n_changed > settings.max_outcomes_changed * common.n_common:
        return unknown(
            f"{common.n_changed:,} of {common.n_common:,} patients in common with {champion.title} have another "
            "outcome there: other data, or other patients under the same ids; at most "
            f"{settings.max_outcomes_changed:.0%}"
        )
    finding = non_inferior(_compare(common, settings), champion.title, settings)
    out = [
        f"{n:,} {why}"
        for n, why in (
            (common.n_changed, "with another outcome"),
            (common.n_linked, "whose person may have trained one of them under another id"),
        )
        if n
    ]
    return Finding(finding.status, finding.words + (f"; left out: {', '.join(out)}" if out else ""))


def common_predictions(run: RunFolder, model: str, other: RunFolder, other_model: str) -> Common:
    """Bring the predictions of two runs together.

    Parameters
    ----------
    run, model : the candidate.
    other, other_model : the champion.
    """
    sides = [_rows(run, model), _rows(other, other_model)]
    rosters = [_roster(run, sides[0]), _roster(other, sides[1])]
    person = _joint_persons(rosters)
    keys = [pd.MultiIndex.from_frame(side[_KEY]).unique() for side in sides]
    common = keys[0].intersection(keys[1])
    outcome = [side.drop_duplicates(_KEY).set_index(_KEY)["y_true"].reindex(common) for side in sides]
    changed = common[(outcome[0] != outcome[1]).to_numpy()]
    unfair = [_known_elsewhere(roster, side, person) for roster, side in zip(rosters, sides, strict=True)]
    linked = common.difference(changed).intersection(unfair[0].union(unfair[1]))
    kept = common.difference(changed).difference(linked)
    parts = []
    for side, name in zip(sides, ("candidate", "champion"), strict=True):
        index = pd.MultiIndex.from_frame(side[_KEY])
        part = side[index.isin(kept)]
        people = person.reindex(index[index.isin(kept)]).to_numpy()
        parts.append(part.assign(model=name, scheme="both", person_id=[f"person-{code}" for code in people]))
    return Common(pd.concat(parts, ignore_index=True), len(common), len(changed), len(linked))


def _rows(run: RunFolder, model: str) -> pd.DataFrame:
    """The model's own predictions under the run's scheme."""
    frame = run.table("predictions")
    frame = frame[(frame["model"] == model) & (frame["recalibration"] == "none")]
    scheme = run.manifest().get("scheme")
    return frame[frame["scheme"] == scheme] if scheme in set(frame["scheme"]) else frame


def _roster(run: RunFolder, predicted: pd.DataFrame) -> pd.DataFrame:
    """Everybody whom a run may have trained on: cohort_id, patient_id, person_id."""
    parts = [predicted[[*_KEY, "person_id"]]]
    if run.has_table("cohort"):
        parts.append(run.table("cohort")[[*_KEY, "person_id"]])
    return pd.concat(parts, ignore_index=True).drop_duplicates(_KEY).astype(str)


def _joint_persons(rosters: list[pd.DataFrame]) -> pd.Series:
    """Number of the person of each patient, by (cohort_id, patient_id): linked by either run, and by what follows."""
    everyone = pd.concat(rosters, ignore_index=True)
    patient, index = pd.factorize(pd.MultiIndex.from_frame(everyone[_KEY]))
    # a person's name means something within its run only
    run = np.repeat(np.arange(len(rosters)), [len(roster) for roster in rosters])
    person, names = pd.factorize(pd.MultiIndex.from_arrays([run, everyone["person_id"]]))
    size = len(index) + len(names)
    links = coo_array((np.ones(len(everyone)), (patient, person + len(index))), shape=(size, size))
    _, code = connected_components(links, directed=False)
    return pd.Series(code[: len(index)], index=pd.MultiIndex.from_tuples(index, names=_KEY))


def _known_elsewhere(roster: pd.DataFrame, predicted: pd.DataFrame, person: pd.Series) -> pd.MultiIndex:
    """Patients of a run who are one person with another of its patients, which this run did not know.

    Where both were held out by the same folds, neither has helped to predict the other, and both stay.
    """
    frame = roster.assign(joint=person.reindex(pd.MultiIndex.from_frame(roster[_KEY])).to_numpy())
    several = frame.groupby("joint")["person_id"].transform("nunique") > 1
    frame = frame[several.to_numpy()]
    if frame.empty:
        return pd.MultiIndex.from_frame(frame[_KEY])
    folds = (
        predicted.sort_values("repeat")
        .assign(place=predicted["repeat"].astype(str) + " " + predicted["fold"].astype(str))
        .groupby(_KEY)["place"]
        .agg("\n".join)
    )
    frame = frame.assign(place=folds.reindex(pd.MultiIndex.from_frame(frame[_KEY])).fillna("not predicted").to_numpy())
    apart = frame.groupby("joint")["place"].transform("nunique") > 1
    return pd.MultiIndex.from_frame(frame.loc[apart.to_numpy(), _KEY])


def _compare(common: Common, settings: AgainstChampion) -> dict[str, object]:
    """A row as the comparisons table has it, for AUROC within cohorts and folds."""
    none: dict[str, object] = {
        "n_common": 0,
        "n_events": 0,
        "difference": None,
        "ci_low": None,
        "ci_high": None,
        "note": "",
    }
    if common.predictions.empty:
        return none
    (panel,) = panels(common.predictions, n_resamples=1, seed=0)  # DeLong's test takes no resamples
    candidate, champion = panel.scores  # sorted by name
    masks = masks_for(METRICS["auroc"], panel, cohort_masks(panel, candidate.fair & champion.fair))
    note = why_left_out(panel, candidate, champion, METRICS["auroc"])
    if not masks:
        return none | {"note": note}
    used = np.any(masks, axis=0)
    counts = {"n_common": int(used.sum()), "n_events": int(panel.y[used].sum()), "note": note}
    if not panel.enough(used, settings.min_events):
        return none | counts
    found = influence_difference(
        combined_influence(panel, candidate, masks),
        combined_influence(panel, champion, masks),
        persons_of(panel, masks),
    )
    ends = {"difference": found.difference, "ci_low": found.ci_low, "ci_high": found.ci_high}
    return none | counts | ends
