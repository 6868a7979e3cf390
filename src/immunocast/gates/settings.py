"""Settings of the gates, checked: conf/promotion as typed values, a mistake named by its key."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from immunocast.errors import ConfigError

#: Aliases that are moved by promotion, the lesser one first.
ALIASES = ("challenger", "champion")


@dataclass(frozen=True, kw_only=True)
class Gate:
    """Settings that every gate has.

    Attributes
    ----------
    aliases : promotions that it can block.
    not_assessable : "fail" or "pass": what it means where the run does not hold what the gate needs.
    """

    aliases: tuple[str, ...] = ALIASES
    not_assessable: str = "fail"


@dataclass(frozen=True, kw_only=True)
class Least(Gate):
    """`value` : the fewest that pass."""

    value: int


@dataclass(frozen=True, kw_only=True)
class Margin(Gate):
    """Non-inferiority of the AUROC.

    Attributes
    ----------
    margin : largest loss of AUROC that the lower end of the 95 % interval of the difference may reach.
    min_events : fewest common events, and non-events, with which it is assessed.
    """

    margin: float
    min_events: int


@dataclass(frozen=True, kw_only=True)
class AgainstReference(Margin):
    """`reference` : model of the run that it is compared with."""

    reference: str


@dataclass(frozen=True, kw_only=True)
class AgainstChampion(Margin):
    """The same against the champion of the registry.

    Attributes
    ----------
    same_scheme : whether both must have been validated by the same scheme.
    max_outcomes_changed : share of the common patients whose outcome may differ between the runs, 0-1.
    """

    same_scheme: bool
    max_outcomes_changed: float


@dataclass(frozen=True, kw_only=True)
class Limits(Gate):
    """`low`, `high` : limits; `judge` : whether the "estimate" must lie between them, or its whole 95 % "interval"."""

    low: float
    high: float
    judge: str


@dataclass(frozen=True, kw_only=True)
class DataChecks(Gate):
    """`waived` : "pass" or "fail": what a waived finding of severity error means."""

    waived: str


@dataclass(frozen=True, kw_only=True)
class Collapse(Gate):
    """When a subgroup counts as collapsed.

    Attributes
    ----------
    margin : drop of its AUROC below everybody's, from which it is too large.
    alpha : level of the test, corrected by Holm over all levels of all variables.
    """

    margin: float
    alpha: float


@dataclass(frozen=True, kw_only=True)
class Reproduction(Gate):
    """`close` : "pass" or "fail": what it means where the numbers agree within the tolerance of `reproduce` only."""

    close: str


#: The gates in the order in which they are shown, with the type of their settings.
GATES: dict[str, type[Gate]] = {
    "min_patients": Least,
    "min_events": Least,
    "auroc_vs_loris": AgainstReference,
    "auroc_vs_champion": AgainstChampion,
    "calibration_slope": Limits,
    "calibration_intercept": Limits,
    "data_checks": DataChecks,
    "subgroups": Collapse,
    "real_data": Gate,
    "clean_tree": Gate,
    "digests": Gate,
    "reproduction": Reproduction,
}

_CHOICES = {
    "not_assessable": ("fail", "pass"),
    "judge": ("estimate", "interval"),
    "waived": ("pass", "fail"),
    "close": ("pass", "fail"),
}
_SHARES = ("margin", "alpha", "max_outcomes_changed")


@dataclass(frozen=True)
class GateSettings:
    """The settings of all gates; `gates` has None for one that is off."""

    gates: dict[str, Gate | None]

    @classmethod
    def from_plain(cls, plain: Any) -> GateSettings:
        """Check the section `promotion.gates` of the configuration.

        Raises
        ------
        ConfigError
            For an unknown or missing gate or key, and for a value of the wrong type or out of range.
        """
        if not isinstance(plain, Mapping):
            raise ConfigError(f"promotion.gates is {plain!r}; it must hold a section a gate.")
        wrong = [str(name) for name in plain if name not in GATES]
        if wrong:
            raise ConfigError(f"promotion.gates names {wrong[0]!r}, which is no gate. Gates: {', '.join(GATES)}.")
        missing = [name for name in GATES if name not in plain]
        if missing:
            raise ConfigError(
                f"promotion.gates lacks {missing[0]!r}. Give its settings, or switch it off: {missing[0]}: null."
            )
        return cls({name: None if plain[name] is None else _gate(name, plain[name]) for name in GATES})

    def to_plain(self) -> dict[str, Any]:
        """Plain values, as they are kept with a promotion."""
        return {
            name: None
            if gate is None
            else {f.name: _plain(getattr(gate, f.name)) for f in sorted(fields(gate), key=lambda f: f.name)}
            for name, gate in self.gates.items()
        }


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _gate(name: str, plain: Any) -> Gate:
    key = f"promotion.gates.{name}"
    if not isinstance(plain, Mapping):
        raise ConfigError(f"{key} is {plain!r}; give its settings, or null to switch it off.")
    known = {f.name: str(f.type) for f in fields(GATES[name])}
    for part in plain:
        if part not in known:
            raise ConfigError(f"{key} has no setting {str(part)!r}. It has: {', '.join(known)}.")
    missing = [part for part in known if part not in plain and part not in ("aliases", "not_assessable")]
    if missing:
        raise ConfigError(f"{key}.{missing[0]} has no value.")
    values = {part: _value(f"{key}.{part}", part, known[part], value) for part, value in plain.items()}
    gate = GATES[name](**values)
    if isinstance(gate, Limits) and gate.low >= gate.high:
        raise ConfigError(f"{key}.low is {gate.low:g} and high is {gate.high:g}; low must be below high.")
    return gate


def _value(key: str, part: str, kind: str, value: Any) -> Any:
    if part in _CHOICES:
        if value not in _CHOICES[part]:
            raise ConfigError(f"{key} is {value!r}; it must be {' or '.join(_CHOICES[part])}.")
        return value
    if part == "aliases":
        if not isinstance(value, list | tuple) or any(v not in ALIASES for v in value):
            raise ConfigError(f"{key} is {value!r}; it must be a list of {' and '.join(ALIASES)}.")
        return tuple(value)
    if kind == "bool":
        if not isinstance(value, bool):
            raise ConfigError(f"{key} is {value!r}; it must be true or false.")
        return value
    if kind == "str":
        if not isinstance(value, str) or not value:
            raise ConfigError(f"{key} is {value!r}; it must be a name.")
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(f"{key} is {value!r}; it must be a number.")
    if kind == "int":
        least = 2 if part == "min_events" else 0  # DeLong's variance needs two of each class
        if value != int(value) or value < least:
            raise ConfigError(f"{key} is {value!r}; it must be a whole number, {least} or more.")
        return int(value)
    if part in _SHARES and not 0 <= value < 1:
        raise ConfigError(f"{key} is {value!r}; it must be at least 0 and below 1.")
    return float(value)
