"""Settings of the synthetic cohort, checked: each mistake is named with its mend."""

from __future__ import annotations

import re
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

from immunocast.errors import ConfigError


def identifier(setting: str, value: Any) -> str:
    """A string that can be part of an id."""
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", value):
        raise ConfigError(
            f"cohort.{setting}: {value!r} cannot be part of an id. "
            "Use letters, digits, '_', '-' and '.', starting with a letter or digit."
        )
    return value


def whole(setting: str, value: Any, low: int, high: int) -> int:
    """A whole number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or not low <= int(value) <= high:
        raise ConfigError(f"cohort.{setting}: {value!r} cannot be used. Give a whole number from {low} to {high}.")
    return int(value)


def share(setting: str, value: Any, high: float) -> float:
    """A number from 0 to `high`."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ConfigError(f"cohort.{setting}: {value!r} is no number. Give one from 0 to {high:g}.")
    if not 0 <= float(value) <= high:
        raise ConfigError(f"cohort.{setting}: {value} is out of range. Give a number from 0 to {high:g}.")
    return float(value)


def cohort_names(n_cohorts: int | Sequence[str]) -> list[str]:
    """Names of the cohorts: A, B, C ... for a number."""
    if isinstance(n_cohorts, Sequence) and not isinstance(n_cohorts, str):
        names = [identifier("n_cohorts", value) for value in n_cohorts]
        if not names:
            raise ConfigError("cohort.n_cohorts: the list is empty. Name one cohort or more.")
        if len(set(names)) < len(names):
            twice = sorted({n for n in names if names.count(n) > 1})
            raise ConfigError(f"cohort.n_cohorts: {', '.join(twice)} is named twice. Give each cohort its own name.")
        if len(names) > 100:
            raise ConfigError("cohort.n_cohorts: more than 100 names. Ask for fewer cohorts.")
        return names
    count = whole("n_cohorts", n_cohorts, 1, 26)
    return [chr(ord("A") + k) for k in range(count)]
