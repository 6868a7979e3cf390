"""A model's search space: what tuning may try, written in its configuration.

    search:
      estimator__C: {low: 0.001, high: 10, log: true}     # a number; whole where both ends are whole
      estimator__max_depth: {low: 1, high: 4}
      impute: {choices: [median, none]}

Keys are names of `get_params`, so that each trial is `set_params(**params)`.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

from immunocast.errors import ConfigError

_MEND = "Write {low: 1, high: 4}, with `log: true` for a logarithmic scale, or {choices: [a, b]}."


def checked_space(name: str, model: Any) -> dict[str, dict[str, Any]]:
    """The search space of a model, {} where it has none.

    Parameters
    ----------
    name : of the model, for messages.
    model : unfitted, with `get_params`.

    Raises
    ------
    ConfigError
        For a parameter that the model does not have, and for a range that is none.
    """
    space = getattr(model, "search", None) or {}
    if not isinstance(space, Mapping):
        raise ConfigError(f"models.{name}.search is {space!r}; it must map parameters to ranges. {_MEND}")
    known = model.get_params(deep=True)
    for key in space:
        where = f"models.{name}.search.{key}"
        if key not in known or key == "search":
            near = sorted(k for k in known if k.startswith(str(key).split("__")[0] + "__")) or sorted(known)
            raise ConfigError(f"{where}: the model has no such parameter. It has: {', '.join(near[:30])}.")
        if not _plain(known[key]):
            raise ConfigError(f"{where}: only plain values can be searched, and the model's is {known[key]!r}.")
    return {str(key): checked_range(f"models.{name}.search.{key}", spec) for key, spec in space.items()}


def checked_range(where: str, spec: Any) -> dict[str, Any]:
    """A range as it stands.

    Parameters
    ----------
    where : its key, for messages.
    spec : what was written for it.

    Raises
    ------
    ConfigError
        Where it is no range.
    """
    if problem := _problem(spec):
        raise ConfigError(f"{where} is {spec!r}: {problem}. {_MEND}")
    return dict(spec)


def _plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


def _problem(spec: Any) -> str:
    if not isinstance(spec, Mapping):
        return "it must be a mapping"
    if "choices" in spec:
        choices = spec["choices"]
        if set(spec) != {"choices"} or not isinstance(choices, list | tuple) or not choices:
            return "choices stand alone, and are a list that is not empty"
        if not all(map(_plain, choices)):
            return "choices are numbers, texts, true, false or null"
        return ""
    if set(spec) - {"low", "high", "log"} or not {"low", "high"} <= set(spec):
        return "a range has low and high, and may have log"
    low, high = spec["low"], spec["high"]
    if any(isinstance(v, bool) or not isinstance(v, Real) for v in (low, high)) or not low < high:
        return "low and high are numbers, low below high"
    if not isinstance(spec.get("log", False), bool):
        return "log is true or false"
    return "a logarithmic scale begins above 0" if spec.get("log") and not low > 0 else ""


def distributions(space: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The space as Optuna's distributions, in the order of the names."""
    from optuna import distributions as optuna

    found: dict[str, Any] = {}
    for key, spec in sorted(space.items()):
        if "choices" in spec:
            found[key] = optuna.CategoricalDistribution(tuple(spec["choices"]))
        elif isinstance(spec["low"], int) and isinstance(spec["high"], int):
            found[key] = optuna.IntDistribution(spec["low"], spec["high"], log=spec.get("log", False))
        else:
            found[key] = optuna.FloatDistribution(float(spec["low"]), float(spec["high"]), log=spec.get("log", False))
    return found
