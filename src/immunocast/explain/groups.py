"""Groups of features: blocks of one kind of assay, and clusters of features that go together.

Features that go together share their importance, so that each looks smaller than what they tell. A patient's value of
a group is the sum of its members' SHAP values; the importance of the group is the mean of its absolute value, which is
less than the sum of the members' importances wherever they pull in different directions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from immunocast.cohort.vocabulary import FEATURES, VOCABULARY
from immunocast.errors import ConfigError

#: Fewest patients with both values for a correlation to count.
MIN_PAIRS = 50
_JOIN = " + "


@dataclass(frozen=True)
class Group:
    """Features that are explained as one.

    Attributes
    ----------
    kind : "block" or "cluster".
    name : name of the block, or the members joined by " + ".
    block : block of its members; "mixed" where they are of several.
    members : in the order of the vocabulary.
    """

    kind: str
    name: str
    block: str
    members: tuple[str, ...]

    @property
    def joined(self) -> str:
        """Members as the table importance holds them."""
        return "+".join(self.members)


def blocks(features: Sequence[str]) -> list[Group]:
    """A group for each block of the vocabulary that has a feature."""
    found: dict[str, list[str]] = {}
    for name in _ordered(features):
        found.setdefault(VOCABULARY[name].block, []).append(name)
    return [Group("block", block, block, tuple(members)) for block, members in sorted(found.items())]


def clusters(features: Sequence[str], correlation: pd.DataFrame, least: float) -> list[Group]:
    """Groups of two features or more whose values go together.

    Parameters
    ----------
    features : of a model.
    correlation : `rank_correlation` of at least its numeric features.
    least : average |Spearman correlation| from which on two clusters become one (average linkage), in (0, 1].

    Raises
    ------
    ConfigError
        Where `least` lies outside.
    """
    if isinstance(least, bool) or not isinstance(least, int | float) or not 0 < least <= 1:
        raise ConfigError(
            f"explain.clusters is {least!r}; it must be a correlation above 0, up to 1, or null for no clusters."
        )
    names = [name for name in _ordered(features) if name in correlation]
    if len(names) < 2:
        return []
    distance = 1 - correlation.loc[names, names].abs().fillna(0.0).to_numpy(copy=True)
    np.fill_diagonal(distance, 0.0)
    tree = linkage(squareform(distance, checks=False).clip(0), method="average")
    labels = fcluster(tree, t=1 - least + 1e-12, criterion="distance")
    found = []
    for label in dict.fromkeys(labels):
        members = tuple(name for name, own in zip(names, labels, strict=True) if own == label)
        if len(members) > 1:
            kinds = {VOCABULARY[m].block for m in members}
            found.append(Group("cluster", _JOIN.join(members), kinds.pop() if len(kinds) == 1 else "mixed", members))
    return found


def rank_correlation(patients: pd.DataFrame, features: Sequence[str]) -> pd.DataFrame:
    """Spearman correlations of numeric features over patients who have both values; NaN under `MIN_PAIRS` or constant.

    Parameters
    ----------
    patients : (n, columns) rows of the cohort table.
    features : names; categories, and what the table lacks, are left out.
    """
    numeric = [f for f in _ordered(features) if f in patients and VOCABULARY[f].kind not in ("category", "text")]
    return patients[numeric].astype("float64").corr(method="spearman", min_periods=MIN_PAIRS)


def _ordered(features: Sequence[str]) -> list[str]:
    chosen = set(features)
    return [name for name in FEATURES if name in chosen]
