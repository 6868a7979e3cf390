"""Find the same human being under several ids: score candidate pairs, and link those that chance does not explain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from immunocast.cohort.linkage.blocking import candidates
from immunocast.cohort.linkage.evidence import AGREE, DISAGREE, NEAR, Comparable, comparable, levels, score, weights
from immunocast.cohort.linkage.fields import choose_fields
from immunocast.cohort.linkage.persons import Persons, assign
from immunocast.cohort.linkage.settings import LinkageSettings, linkage_settings

_CHUNK = 200_000
LINK_COLUMNS = (
    "patient_id",
    "cohort_id",
    "linked_patient_id",
    "linked_cohort_id",
    "score",
    "posterior",
    "agreed",
    "near",
    "disagreed",
)
_BLOCK_COLUMNS = ("cohort_id", "linked_cohort_id", "n_pairs", "n_scored", "n_expected", "threshold")


@dataclass(frozen=True)
class Linkage:
    """What the comparison of all patients with all others found.

    Attributes
    ----------
    cohort : the cohort table; linked patients share the `person_id` of the first of them.
    links : a row a linked pair of two cohorts: patient_id, cohort_id, linked_patient_id, linked_cohort_id, score
        (bits), posterior (probability that the two are one person), and the fields that agreed, were near and
        disagreed, separated by ";".
    duplicates : the same for pairs inside a cohort.
    uncertain : the same for pairs that were not linked, with `why`: "below the threshold", "conflict in sex" (all
        but a decisive field agrees), "taken" (a better partner was found in that cohort) or "contradiction" (the
        link would make two patients of a third cohort one person).
    blocks : a row a pair of cohorts (one with itself for duplicates inside): cohort_id, linked_cohort_id, n_pairs of
        patients, n_scored of them (those that share a blocking key), n_expected matches by the scores, threshold
        (bits from which a pair is linked), n_linked, and false_links, the expected number of them that are chance.
    """

    cohort: pd.DataFrame
    links: pd.DataFrame
    duplicates: pd.DataFrame
    uncertain: pd.DataFrame
    blocks: pd.DataFrame


def find_links(cohort: pd.DataFrame, **settings: Any) -> Linkage:
    """Compare the patients of all cohorts and link those who are one person.

    Parameters
    ----------
    cohort : cohort table.
    settings : see `LinkageSettings`.

    Raises
    ------
    ConfigError
        For settings that do not exist, columns outside the vocabulary and values out of range.

    Notes
    -----
    Record linkage after Fellegi and Sunter (1969), with weights that depend on the value (Winkler). The score of a
    pair is the sum of log2 likelihood ratios of its fields; prior odds and score give the posterior probability.
    The prior starts at `matches` over all pairs of the run. P(score >= t | two persons) <= 2^-t where the fields of
    strangers are independent, so cohorts without a common patient give at most `matches` x (1 - posterior) /
    posterior false links a run. Where scores show an overlap, the prior of that pair of cohorts is raised to what
    they show (expectation-maximisation, likelihood ratios held fixed), and the threshold falls with it.

    The absence of a link proves nothing: patients with few fields, or common values in them, cannot be told apart.
    """
    return _find(cohort, linkage_settings(settings), across=True)


def _find(cohort: pd.DataFrame, chosen: LinkageSettings, *, across: bool) -> Linkage:
    parts = comparable(cohort, choose_fields(chosen.fields))
    cohort_ids = cohort["cohort_id"].to_numpy(dtype=object)
    rows = {name: np.flatnonzero(cohort_ids == name) for name in sorted(set(cohort_ids))}
    cuts = {(a, b): chosen.posterior for a, b in combinations(rows, 2)} if across else {}
    if chosen.inside is not None:
        cuts |= {(a, a): chosen.inside for a in rows if len(rows[a]) > 1}
    size = {k: _n_pairs(rows, *k) for k in cuts}
    total = {inside: sum(n for (a, b), n in size.items() if (a == b) == inside) for inside in (False, True)}
    frames, blocks = [], []
    for (a, b), cut in cuts.items():
        # duplicates inside a cohort are rarer: somebody gave each patient an id there
        prior = chosen.matches * (0.1 if a == b else 1.0) / total[a == b]
        frame, n_scored, prior = _match(parts, rows[a], rows[b], prior, cut, chosen)
        frames.append(frame.assign(inside=a == b))
        blocks.append((a, b, size[a, b], n_scored, prior * size[a, b], np.log2(cut / (1 - cut) / prior)))
    pairs = _in_order(pd.concat(frames, ignore_index=True), cohort) if frames else pd.DataFrame({"score": []})
    persons = Persons(cohort["person_id"], cohort_ids)
    pairs = pairs.assign(why=_decide(pairs, persons))
    told = _described(pairs, cohort, parts)
    linked = pairs["why"] == "linked"
    inside = told["cohort_id"] == told["linked_cohort_id"]
    result = pd.DataFrame(blocks, columns=list(_BLOCK_COLUMNS))
    chance = (1 - told.loc[linked, "posterior"]).groupby([told["cohort_id"], told["linked_cohort_id"]])
    index = pd.MultiIndex.from_frame(result[["cohort_id", "linked_cohort_id"]])
    return Linkage(
        cohort=cohort.assign(person_id=pd.Series(persons.ids(), index=cohort.index).astype("str")),
        links=told[linked & ~inside].reset_index(drop=True),
        duplicates=told[linked & inside].reset_index(drop=True),
        uncertain=told.assign(why=pairs["why"].astype("str"))[~linked].reset_index(drop=True),
        blocks=result.assign(
            n_linked=chance.size().reindex(index, fill_value=0).to_numpy(dtype="int64"),
            false_links=chance.sum().reindex(index, fill_value=0.0).to_numpy(dtype="float64"),
        ),
    )


def _n_pairs(rows: Mapping[str, np.ndarray], a: str, b: str) -> int:
    n = len(rows[a])
    return n * (n - 1) // 2 if a == b else n * len(rows[b])


def _match(
    parts: Sequence[Comparable],
    left: np.ndarray,
    right: np.ndarray,
    prior: float,
    cut: float,
    chosen: LinkageSettings,
) -> tuple[pd.DataFrame, int, float]:
    """Pairs of two cohorts, or inside one, that are linked or worth a report; how many were scored; the prior."""
    i, j = candidates(parts, left, right)
    decisive = [p for p in parts if p.name in chosen.decisive]
    others = [p for p in parts if p.name not in chosen.decisive]
    # whatever the data say, no more than the whole smaller cohort is in the other: below this no pair matters
    floor = np.log2(max(len(left), len(right)) * chosen.review / (1 - chosen.review))
    kept = []
    for start in range(0, len(i), _CHUNK):
        a, b = i[start : start + _CHUNK], j[start : start + _CHUNK]
        bits = score(others, a, b)
        conflict = np.full(len(a), "", dtype=object)
        for part in decisive:
            level = levels(part, a, b)
            bits += np.where(level == DISAGREE, 0.0, weights(part, level, a, b))
            conflict[(level == DISAGREE) & (conflict == "")] = f"conflict in {part.name}"
        keep = bits >= floor
        kept.append(pd.DataFrame({"left": a[keep], "right": b[keep], "score": bits[keep], "conflict": conflict[keep]}))
    pairs = pd.concat(kept, ignore_index=True) if kept else pd.DataFrame(columns=["left", "right", "score", "conflict"])
    free = pairs["conflict"] == ""
    n_pairs = len(left) * (len(left) - 1) // 2 if left is right else len(left) * len(right)
    prior = _prior_by_scores(pairs[free], prior, n_pairs)
    odds = np.exp2(np.minimum(pairs["score"].to_numpy(dtype=float), 300.0)) * prior
    pairs = pairs.assign(posterior=odds / (1 + odds))
    pairs = pairs.assign(sure=free & (pairs["posterior"] >= cut))
    # with a conflict, a pair is reported where it would be linked without that field
    return pairs[pairs["posterior"] >= np.where(free, chosen.review, cut)], len(i), prior


def _prior_by_scores(pairs: pd.DataFrame, prior: float, n_pairs: int) -> float:
    """Share of all pairs that are one person, from their scores; never below the prior that was given."""
    best = pairs.sort_values("score", ascending=False, kind="stable")
    best = best[~best["left"].duplicated() & ~best["right"].duplicated()]
    ratio = np.exp2(np.minimum(best["score"].to_numpy(dtype=float), 300.0))
    now = prior
    for _ in range(100):
        posterior = ratio * now / (1 + ratio * now)
        before, now = now, max(prior, float(posterior[posterior > 0.5].sum()) / n_pairs)
        if abs(now - before) <= 1e-6 * now:
            break
    return now


def _in_order(pairs: pd.DataFrame, cohort: pd.DataFrame) -> pd.DataFrame:
    """Each pair in one direction, and the pairs in one order, however the cohort's rows are sorted."""
    name = pd.Series(list(zip(cohort["cohort_id"], cohort["patient_id"], strict=True)), dtype=object).to_numpy()
    rank = np.empty(len(name), dtype=int)
    rank[sorted(range(len(name)), key=name.__getitem__)] = np.arange(len(name))
    left, right = (pairs[side].to_numpy(dtype=int) for side in ("left", "right"))
    swap = rank[left] > rank[right]
    left, right = np.where(swap, right, left), np.where(swap, left, right)
    pairs = pairs.assign(left=left, right=right, a=rank[left], b=rank[right], score=pairs["score"].round(6))
    return pairs.sort_values(["a", "b"], ignore_index=True)


def _decide(pairs: pd.DataFrame, persons: Persons) -> pd.Series:
    """What becomes of each pair; joins the persons of those that are linked."""
    if pairs.empty:
        return pd.Series(dtype="str")
    ranked = pairs.sort_values(["score", "a", "b"], ascending=[False, True, True])
    why = assign(ranked, persons).reindex(pairs.index)
    return why.mask(pairs["conflict"] != "", pairs["conflict"]).astype("str")


def _described(pairs: pd.DataFrame, cohort: pd.DataFrame, parts: Sequence[Comparable]) -> pd.DataFrame:
    """The pairs with ids and with the fields that agreed, were near and disagreed."""
    if pairs.empty:
        types = {"score": "float64", "posterior": "float64"}
        return pd.DataFrame({c: pd.Series(dtype=types.get(c, "str")) for c in LINK_COLUMNS})
    left, right = pairs["left"].to_numpy(), pairs["right"].to_numpy()
    told = {}
    for name, wanted in (("agreed", AGREE), ("near", NEAR), ("disagreed", DISAGREE)):
        flags = [levels(part, left, right) == wanted for part in parts]
        names = [part.name for part in parts]
        told[name] = [";".join(n for n, f in zip(names, row, strict=True) if f) for row in zip(*flags, strict=True)]
    ids, cohorts = (cohort[c].to_numpy(dtype=object) for c in ("patient_id", "cohort_id"))
    frame = pd.DataFrame(
        {
            "patient_id": ids[left],
            "cohort_id": cohorts[left],
            "linked_patient_id": ids[right],
            "linked_cohort_id": cohorts[right],
            "score": pairs["score"].round(2),
            "posterior": pairs["posterior"].round(6),
            **told,
        }
    )
    return frame.astype({c: "str" for c in LINK_COLUMNS if c not in ("score", "posterior")})


def link_persons(cohort: pd.DataFrame, **settings: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give linked patients one `person_id`.

    Parameters
    ----------
    cohort : cohort table.
    settings : see `LinkageSettings`.

    Returns
    -------
    cohort : a new table; linked patients share the `person_id` of the first of them.
    links : a row a linked pair of two cohorts, see `Linkage.links`.

    Raises
    ------
    ConfigError
        For settings that do not exist, columns outside the vocabulary and values out of range.
    """
    found = find_links(cohort, **settings)
    return found.cohort, found.links


def near_duplicates(cohort: pd.DataFrame, **settings: Any) -> pd.DataFrame:
    """Pairs of patients of one cohort that are very probably one person.

    Parameters
    ----------
    cohort : cohort table, of one cohort or several.
    settings : see `LinkageSettings`.

    Returns
    -------
    A row a pair, see `Linkage.links`; patients whom the reader gave one `person_id` are left out.
    """
    duplicates = _find(cohort, linkage_settings(settings), across=False).duplicates
    person = cohort.set_index("patient_id")["person_id"]
    known = person.loc[duplicates["patient_id"]].to_numpy() == person.loc[duplicates["linked_patient_id"]].to_numpy()
    return duplicates[~known].reset_index(drop=True)
