"""What every endpoint has: settings that are checked, words, a direction, and the arms that it is about."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd

from immunocast.cohort.outcomes.labels import Columns, Draft, Labels
from immunocast.cohort.vocabulary import VOCABULARY
from immunocast.errors import ConfigError

#: How the direction that is known of a marker for response carries over to an endpoint.
Markers = Literal["same", "reversed", "unknown"]

_ARM_WORDS = {
    "control": "control arm: no checkpoint inhibitor",
    "ici": "treated with a checkpoint inhibitor",
}


@dataclass(frozen=True)
class Words:
    """How reports speak of an endpoint.

    Attributes
    ----------
    title : what is forecast, e.g. "objective response (CR or PR, against SD or PD)".
    events, others : patients with and without the event, in the plural.
    event, other : one of each, with the article.
    rate : what the share of events is called.
    harm : True where the event is bad for the patient.
    """

    title: str
    events: str
    others: str
    event: str
    other: str
    rate: str = "event rate"
    harm: bool = False


@dataclass(frozen=True, kw_only=True)
class Endpoint(ABC):
    """An endpoint with its settings; subclasses hold the rule.

    Parameters
    ----------
    arms : arms of the cohort whose patients are labelled, "ici" and "control". An unknown arm counts as ici,
        except where drug_class is none.

    Attributes
    ----------
    name : its name in the configuration.
    direction : "benefit" or "harm", what the event is for the patient.
    markers : "same" where a marker of response points the same way, "reversed" where the other way, "unknown"
        where the direction for response does not carry over.
    needs : the columns that it needs, as a sentence.
    """

    name: ClassVar[str]
    direction: ClassVar[Literal["benefit", "harm"]]
    markers: ClassVar[Markers]
    needs: ClassVar[str]

    arms: tuple[str, ...] = ("ici",)

    def __post_init__(self) -> None:
        known = VOCABULARY["arm"].categories
        arms = self.arms
        if isinstance(arms, str) or not arms or any(a not in known for a in arms):
            raise ConfigError(f"endpoint.arms is {arms!r}; it must be a list of {' and '.join(known)}, e.g. [ici].")
        object.__setattr__(self, "arms", tuple(arms))

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Build it from plain settings.

        Raises
        ------
        ConfigError
            For settings that it does not have, naming those that it has, and for values out of range.
        """
        known = [f.name for f in fields(cls)]
        for key in settings:
            if key not in known:
                raise ConfigError(
                    f"endpoint.{key}: {cls.name} has no such setting. It has: {', '.join(sorted(known))}."
                )
        return cls(**settings)

    def to_dict(self) -> dict[str, Any]:
        """Name and settings, JSON-ready; `make_endpoint` builds it again from them."""
        plain = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
        return {"name": self.name, **plain}

    def label(self, cohort: pd.DataFrame) -> Labels:
        """Label every patient of a cohort table.

        Raises
        ------
        DataError
            Where two outcome columns contradict each other.
        """
        columns = Columns(cohort)
        draft = Draft(columns)
        arm = columns.text("arm")
        arm = np.where(arm == "", np.where(columns.text("drug_class") == "none", "control", "ici"), arm)
        inside = np.isin(arm, self.arms)
        for name, words in _ARM_WORDS.items():
            draft.leave_out(~inside & (arm == name), words)
        return self._settle(columns, draft, inside)

    @abstractmethod
    def _settle(self, columns: Columns, draft: Draft, inside: np.ndarray) -> Labels:
        """Settle everybody who is open; `inside` are the patients of the arms."""

    @property
    @abstractmethod
    def words(self) -> Words:
        """How reports speak of it."""


def check_time(name: str, value: Any, *, low: float = 0.0, zero: bool = False) -> None:
    """Refuse a time that is no number above `low`.

    Raises
    ------
    ConfigError
        Naming the setting.
    """
    usable = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not usable or value < low or (value == low and not zero):
        raise ConfigError(f"endpoint.{name} is {value!r}; it must be a number {'of' if zero else 'above'} {low:g}"
                          f"{' or more' if zero else ''}.")  # fmt: skip


def check_ne(value: Any) -> None:
    """Refuse anything but the two ways to treat NE.

    Raises
    ------
    ConfigError
        Naming the two.
    """
    if value not in ("exclude", "non_response"):
        raise ConfigError(
            f"endpoint.ne is {value!r}; it must be exclude, or non_response (a sensitivity analysis that counts "
            "patients who were not evaluable as non-responders)."
        )
