"""The settings of a sweep, from conf/sweep/*.yaml and the words `sweep.KEY=VALUE`, checked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import OmegaConf

from immunocast.cohort.hints import did_you_mean
from immunocast.config import conf_dir
from immunocast.errors import ConfigError
from immunocast.metrics import METRICS
from immunocast.sweep.words import Varied, Words
from immunocast.validation.search_space import checked_range

#: Settings that say which question is asked: to search over them would compare answers to different questions.
QUESTIONS = ("cohort", "endpoint", "validation", "evaluation", "linkage", "checks", "seed", "paths", "tracking")
#: How the jobs of a sweep come about.
KINDS = ("grid", "optuna")


@dataclass(frozen=True)
class Objective:
    """What an Optuna sweep looks for: an estimate over all cohorts, and which way is better."""

    metric: str = "auroc"
    threshold: float | None = None
    model: str | None = None
    recalibration: str = "none"
    direction: str = "maximise"

    @property
    def name(self) -> str:
        """In words, e.g. `auroc of ridge+platt`."""
        at = "" if self.threshold is None else f" at {self.threshold:g}"
        recalibrated = "" if self.recalibration == "none" else f"+{self.recalibration}"
        return f"{self.metric}{at} of {self.model or 'the headline model'}{recalibrated}"


@dataclass(frozen=True)
class SweepSettings:
    """A sweep's settings. `workers` is None where only the launcher says how many."""

    kind: str
    workers: int | None = None
    fresh: bool = False
    vary: tuple[Varied, ...] = ()
    search: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    n_trials: int = 20
    batch: int = 4
    seed: int = 0
    objective: Objective = field(default_factory=Objective)


def load_settings(words: Words) -> SweepSettings:
    """Compose and check the settings of a sweep.

    Raises
    ------
    ConfigError
        For a file that does not exist, unknown keys, and values out of range.
    """
    name = words.sweep or "grid"
    folder = _folder_of(name, words.config_dir)
    try:
        with initialize_config_dir(str(folder), version_base="1.3"):
            cfg = compose(name, overrides=list(words.settings))
    except HydraException as error:
        raise ConfigError(f"sweep={name}: {str(error).splitlines()[0]}") from None
    plain = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(plain, dict)
    return _checked({str(k): v for k, v in plain.items()}, name)


def _folder_of(name: str, config_dir: str | None) -> Path:
    folders = [Path(config_dir).absolute() / "sweep"] if config_dir else []
    folders.append(conf_dir() / "sweep")
    for folder in folders:
        if (folder / f"{name}.yaml").is_file():
            return folder
    known = sorted({p.stem for folder in folders for p in folder.glob("*.yaml")})
    raise ConfigError(f"There is no sweep {name!r}. {did_you_mean(name, known)} Sweeps: {', '.join(known)}.")


_KEYS = {
    "grid": {"kind", "vary", "workers", "fresh"},
    "optuna": {"kind", "search", "n_trials", "batch", "seed", "objective", "workers", "fresh"},
}


def _checked(plain: dict[str, Any], name: str) -> SweepSettings:
    kind = plain.get("kind")
    if kind not in KINDS:
        raise ConfigError(f"sweep={name}: kind is {kind!r}; choose {' or '.join(KINDS)}.")
    unknown = sorted(set(plain) - _KEYS[kind])
    if unknown:
        raise ConfigError(f"sweep={name}: a sweep of kind {kind} has no {unknown[0]!r}; it has {_said(_KEYS[kind])}.")
    workers = plain.get("workers")
    if workers is not None:
        _whole("workers", workers, -1)
        if workers == 0:
            raise ConfigError("sweep.workers is 0; give a number of jobs at a time, or -1 for as many as cores.")
    if not isinstance(plain.get("fresh", False), bool):
        raise ConfigError(f"sweep.fresh is {plain['fresh']!r}; it must be true or false.")
    shared: dict[str, Any] = {"kind": kind, "workers": workers, "fresh": plain.get("fresh", False)}
    if kind == "grid":
        return SweepSettings(**shared, vary=_vary(plain.get("vary") or {}))
    for key, least in (("n_trials", 1), ("batch", 1), ("seed", 0)):
        _whole(key, plain.get(key, 0), least)
    space = {key: checked_range(f"sweep.search.{key}", spec) for key, spec in _flat(plain.get("search") or {}).items()}
    if not space:
        raise ConfigError(
            f"sweep={name}: nothing to search. Give ranges, e.g. "
            "'sweep.search.models.ridge.estimator.C={low: 0.01, high: 1, log: true}'."
        )
    for key in space:
        if key.partition(".")[0] in QUESTIONS:
            raise ConfigError(
                f"sweep.search.{key}: a search may vary how models are made, not what is asked of whom "
                f"({', '.join(QUESTIONS)}): answers to different questions cannot be ranked. A grid can show them "
                "side by side."
            )
    numbers = {key: plain[key] for key in ("n_trials", "batch", "seed") if key in plain}
    return SweepSettings(**shared, **numbers, search=space, objective=_objective(plain.get("objective") or {}))


def _said(names: set[str]) -> str:
    return ", ".join(sorted(names))


def _whole(key: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"sweep.{key} is {value!r}; it must be a whole number, {least} or more.")


def _vary(plain: Any) -> tuple[Varied, ...]:
    if not isinstance(plain, Mapping):
        raise ConfigError(f"sweep.vary is {plain!r}; it maps settings to lists of values.")
    found = []
    for key, values in _flat(plain).items():
        if not isinstance(values, list) or not values:
            raise ConfigError(f"sweep.vary.{key} is {values!r}; it must be a list of values.")
        found.append(Varied(key, tuple(as_word(value) for value in values)))
    return tuple(found)


def _flat(plain: Mapping[Any, Any], before: str = "") -> dict[str, Any]:
    """Nested settings with dotted names; a mapping with `low` or `choices` is a range."""
    found: dict[str, Any] = {}
    for key, value in plain.items():
        name = f"{before}{key}"
        if isinstance(value, Mapping) and value and not {"low", "high", "choices"} & set(value):
            found |= _flat(value, f"{name}.")
        else:
            found[name] = value
    return found


def as_word(value: Any) -> str:
    r"""A value as Hydra reads it from a command line.

    >>> as_word(0.1), as_word(None), as_word(True), as_word("it's"), as_word([0.1, "a"])
    ('0.1', 'null', 'true', "'it\\'s'", "[0.1,'a']")
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list):
        return f"[{','.join(as_word(v) if not isinstance(v, str) else _quoted(v) for v in value)}]"
    text = str(value)
    return text if text.replace("_", "").replace(".", "").isalnum() else _quoted(text)


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _objective(plain: Any) -> Objective:
    if not isinstance(plain, Mapping):
        raise ConfigError(f"sweep.objective is {plain!r}; it has {_said(set(Objective.__dataclass_fields__))}.")
    unknown = sorted(set(plain) - set(Objective.__dataclass_fields__))
    if unknown:
        raise ConfigError(
            f"sweep.objective has no {unknown[0]!r}; it has {_said(set(Objective.__dataclass_fields__))}. It is always "
            "an estimate over all cohorts: to search on one cohort would use up that cohort."
        )
    metric = plain.get("metric", "auroc")
    known = {m.name: m for m in METRICS.values() if m.better in ("higher", "lower")}
    if metric not in known:
        raise ConfigError(
            f"sweep.objective.metric is {metric!r}. {did_you_mean(str(metric), known)} Known: {', '.join(known)}."
        )
    threshold = plain.get("threshold")
    if known[metric].at_threshold and threshold is None:
        raise ConfigError(f"sweep.objective.threshold: {metric} needs one of evaluation.thresholds, e.g. 0.3.")
    if threshold is not None and not known[metric].at_threshold:
        raise ConfigError(f"sweep.objective.threshold: {metric} has none; leave it at null.")
    better = "maximise" if known[metric].better == "higher" else "minimise"
    direction = plain.get("direction") or better
    if direction != better:
        raise ConfigError(f"sweep.objective.direction is {direction!r}; {metric} is to {better}.")
    return Objective(
        metric,
        None if threshold is None else float(threshold),
        plain.get("model"),
        plain.get("recalibration") or "none",
        direction,
    )


def n_workers(settings: SweepSettings, words: Words) -> int:
    """Jobs at a time."""
    asked = settings.workers if settings.workers is not None else words.workers
    if asked is None:
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if asked == 0 or asked < -1:
        raise ConfigError(f"A sweep with {asked} workers: give a number of jobs at a time, or -1 for all cores.")
    return cores if asked == -1 else asked
