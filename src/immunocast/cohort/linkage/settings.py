"""How sure a link must be: the settings of the linkage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from immunocast.cohort.linkage.fields import choose_fields
from immunocast.errors import ConfigError


@dataclass(frozen=True)
class LinkageSettings:
    """How sure a link must be.

    Attributes
    ----------
    posterior : probability that two patients of different cohorts are one person, from which they are linked.
    matches : pairs of one person that a run is expected to hold before the data speak; the prior probability of a
        pair is this number over that of all pairs, until the scores of two cohorts show that they overlap.
    inside : posterior for pairs inside a cohort; None takes ids inside a cohort at their word.
    review : posterior from which a pair that is not linked is reported.
    decisive : fields in which a conflict forbids a link; the pair is reported instead.
    fields : changes of `fields.FIELDS`: column -> attributes, None to leave a column out.
    """

    posterior: float = 0.99
    matches: float = 1.0
    inside: float | None = 0.999
    review: float = 0.5
    decisive: Sequence[str] = ("sex",)
    fields: Mapping[str, Mapping[str, Any] | None] | None = None

    def __post_init__(self) -> None:
        for name in ("posterior", "inside", "review"):
            value = getattr(self, name)
            if value is None and name == "inside":
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1:
                raise ConfigError(f"linkage.{name} is {value!r}; it must lie between 0 and 1.")
        matches = self.matches
        if isinstance(matches, bool) or not isinstance(matches, (int, float)) or not 0 < matches < np.inf:
            raise ConfigError(f"linkage.matches is {matches!r}; it must be a number above 0.")
        if isinstance(self.decisive, str):
            raise ConfigError(f"linkage.decisive is {self.decisive!r}; write a list: [{self.decisive}].")
        known = choose_fields(self.fields)
        for name in self.decisive:
            if name not in known:
                raise ConfigError(f"linkage.decisive: {name!r} is none of the fields that are compared.")


def linkage_settings(settings: Mapping[str, Any]) -> LinkageSettings:
    """Settings from a configuration.

    Raises
    ------
    ConfigError
        For keys that do not exist and for values out of range.
    """
    known = list(LinkageSettings.__dataclass_fields__)
    for key in settings:
        if key not in known:
            raise ConfigError(f"linkage.{key}: unknown; known are {', '.join(known)}.")
    return LinkageSettings(**settings)
