"""From conf/ to objects: where the configuration lies, how it is composed, checked and frozen.

This and `pipelines/` are the only places that know Hydra; everything below takes plain arguments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import QuotedString
from hydra.errors import HydraException, InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from immunocast.cohort.hints import did_you_mean
from immunocast.errors import ConfigError, ImmunocastError


def conf_dir() -> Path:
    """The folder of the configuration: packaged with an installed immunocast, else the checkout's conf/."""
    packaged = Path(__file__).parent / "conf"
    checkout = Path(__file__).parents[2] / "conf"
    for folder in (packaged, checkout):
        if (folder / "config.yaml").is_file():
            return folder
    raise ConfigError(f"No configuration was found in {packaged} or {checkout}. Install immunocast again.")


@dataclass
class EvaluationSettings:
    """Types and defaults of the section `evaluation`."""

    references: list[str] = field(default_factory=list)
    headline_model: str = ""
    thresholds: list[float] = field(default_factory=list)
    n_resamples: int = 2000
    min_events: int = 10


@dataclass
class ExplainSettings:
    """Types and defaults of the section `explain`."""

    by: list[str] = field(default_factory=list)
    n_resamples: int = 2000


@dataclass
class Settings:
    """Types of what is not instantiated: a wrong type or an unknown key is refused before anything runs."""

    endpoint: str = "response"
    seed: int = 0
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)
    explain: ExplainSettings = field(default_factory=ExplainSettings)


def check(cfg: DictConfig) -> None:
    """Check types and the settings that must fit together.

    Raises
    ------
    ConfigError
        Naming the key, the value and the mend.
    """
    try:
        missing = sorted(OmegaConf.missing_keys(cfg))
        if missing:
            raise ConfigError(f"These settings have no value yet: {', '.join(missing)}. Give them as KEY=VALUE.")
        for key in Settings.__dataclass_fields__:
            if key not in cfg:
                raise ConfigError(f"The configuration lacks {key!r}.")
        for key in ("evaluation.references", "evaluation.thresholds", "explain.by"):
            value = OmegaConf.select(cfg, key)
            if not OmegaConf.is_list(value):
                raise ConfigError(f"{key} is {value!r}; it must be a list, e.g. {key}=[{value}].")
        OmegaConf.merge(OmegaConf.structured(Settings), {k: cfg[k] for k in Settings.__dataclass_fields__})
    except OmegaConfBaseException as error:
        raise ConfigError(f"Configuration: {str(error).splitlines()[0]} (key {error.full_key})") from error
    if cfg.seed < 0:
        raise ConfigError(f"seed is {cfg.seed}; it must be 0 or more.")
    settings = cfg.evaluation
    names = list(cfg.models)
    wrong = [m for m in (settings.headline_model, *settings.references) if m not in names]
    if wrong:
        raise ConfigError(
            f"evaluation names the model {wrong[0]!r}, which is not among models: {', '.join(names)}. "
            "Set evaluation.headline_model and evaluation.references."
        )
    if any(not 0 < t < 1 for t in settings.thresholds):
        raise ConfigError("evaluation.thresholds are probabilities: each must lie between 0 and 1.")
    for section in ("evaluation", "explain"):
        if cfg[section].n_resamples < 100:
            raise ConfigError(f"{section}.n_resamples is {cfg[section].n_resamples}; an interval needs 100 or more.")


def expand_cohorts(words: Sequence[str]) -> list[str]:
    """Write `cohort=[a,b]` as Hydra understands it: the cohort `several` with the members a and b.

    Hydra takes a list as a group's choice, too, but lays the files over each other: a mixture of two mappings.

    Parameters
    ----------
    words : overrides, or the words of a command line; all others stay as they are.

    Returns
    -------
    The words with `cohort=several`, its name, and an entry a member in place of the list; a list of one name is
    that cohort.

    Raises
    ------
    ConfigError
        For names that do not exist, a cohort named twice, an empty list, and a sweep over lists.

    Examples
    --------
    >>> expand_cohorts(["cohort=[loris,csv]", "seed=1"])  # doctest: +NORMALIZE_WHITESPACE
    ['cohort=several', '+cohort@cohort.members.loris=loris', '+cohort@cohort.members.csv=csv',
     'cohort.name=loris+csv', 'seed=1']
    """
    expanded: list[str] = []
    for word in words:
        names = _listed_cohorts(word)
        if names is None:
            expanded.append(word)
            continue
        _check_names(names, words)
        if len(names) == 1:
            expanded.append(f"cohort={names[0]}")
            continue
        expanded.append("cohort=several")
        expanded += [f"+cohort@cohort.members.{name}={name}" for name in names]
        expanded.append(f"cohort.name={'+'.join(names)}")
    return expanded


def _listed_cohorts(word: str) -> list[str] | None:
    """The names in `cohort=[...]`; None for every other word."""
    if not word.startswith("cohort=") or "[" not in word:
        return None
    try:
        parsed = OverridesParser.create().parse_override(word)
        value = parsed.value()
        if isinstance(value, QuotedString) or (isinstance(value, str) and value.startswith("[")):
            value = OverridesParser.create().parse_override(f"cohort={value}").value()
    except HydraException:
        # mostly a list with blanks that the shell has cut up
        raise ConfigError(f"{word} is no list of cohorts. Write it in quotes: 'cohort=[loris,oak]'.") from None
    if parsed.is_sweep_override():
        raise ConfigError(
            f"{word}: a sweep over lists of cohorts is not possible. Start one run for each list, "
            "or sweep over single cohorts: -m cohort=loris,oak."
        )
    return [str(name) for name in value] if isinstance(value, list) else None


def _check_names(names: Sequence[str], words: Sequence[str]) -> None:
    if not names:
        raise ConfigError("cohort=[] names no cohort. Name them, e.g. cohort=[loris,oak].")
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"cohort=[...] names {name!r} twice.")
        if name == "several":
            raise ConfigError("cohort=[...] names 'several', which stands for the list itself. Name its members.")
    if any(word.lstrip("+").startswith("hydra.searchpath=") for word in words):
        return  # more places than can be looked at here
    folders = [conf_dir(), *_config_dirs(words)]
    known = {p.stem for folder in folders for p in (folder / "cohort").glob("*.yaml")} - {"several"}
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known)
            raise ConfigError(f"There is no cohort {name!r}. {hint} Cohorts: {', '.join(sorted(known))}.")


def _config_dirs(words: Sequence[str]) -> list[Path]:
    """Folders that `--config-dir` adds to conf/."""
    found = [word.split("=", 1)[1] for word in words if word.startswith("--config-dir=")]
    found += [b for a, b in pairwise(words) if a in ("--config-dir", "-cd")]
    return [Path(folder) for folder in found]


def load_config(overrides: Sequence[str] = ()) -> DictConfig:
    """Compose the configuration outside of Hydra's own entry points; `cohort=[a,b]` loads several cohorts.

    Raises
    ------
    ConfigError
        Where an override names nothing that exists.
    """
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        try:
            return compose("config", overrides=expand_cohorts(overrides))
        except HydraException as error:
            raise ConfigError(f"Configuration: {error}") from error


def build(node: Any, key: str) -> Any:
    """Instantiate a configured object with plain lists and dicts as arguments.

    Raises
    ------
    ConfigError
        Where its constructor refuses the settings; an immunocast error keeps its own words.
    """
    try:
        return instantiate(node, _convert_="all")
    except InstantiationException as error:
        cause = error.__cause__
        while cause is not None and not isinstance(cause, ImmunocastError):
            cause = cause.__cause__
        if cause is not None:
            raise cause from None
        why = "; ".join(line for line in str(error).splitlines() if not line.startswith("full_key"))
        raise ConfigError(f"Cannot build {key}: {why}") from error
    except OmegaConfBaseException as error:
        raise ConfigError(f"Cannot build {key}: {str(error).splitlines()[0]}") from error


def build_models(cfg: DictConfig) -> dict[str, Any]:
    """The configured models, unfitted, by name.

    Raises
    ------
    ConfigError
        Where one is no response model.
    """
    from immunocast.models.spec import ResponseModel

    models = {}
    for name, node in cfg.models.items():
        model = build(node, f"models.{name}")
        if not isinstance(model, ResponseModel):
            raise ConfigError(
                f"models.{name} is a {type(model).__name__} without a ModelSpec. Wrap the classifier: "
                "_target_: immunocast.models.learner.Learner, with the classifier under `estimator`."
            )
        models[str(name)] = model
    return models


#: Sections and keys that say where things lie on this machine; they never enter a frozen configuration.
_PLACES = ("paths", "tracking")


def _cohort_nodes(cohort: Any) -> list[Any]:
    """The configuration of the cohort and those of its members, where it has any."""
    return [cohort, *(node for member in (cohort.get("members") or {}).values() for node in _cohort_nodes(member))]


def frozen(cfg: DictConfig) -> dict[str, Any]:
    """The resolved configuration without places: what a run was, the same on every machine."""
    plain = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(plain, dict)
    for key in _PLACES:
        plain.pop(key, None)
    for cohort in _cohort_nodes(plain["cohort"]):
        cohort.pop("data_dir", None)
    return {str(k): v for k, v in plain.items()}


def frozen_yaml(cfg: DictConfig) -> str:
    """`frozen` as YAML text, keys in the order of conf/."""
    return yaml.safe_dump(frozen(cfg), sort_keys=False, allow_unicode=True, width=110)


#: What params.yaml adds so that Hydra can run from it: places by name, and no folders of Hydra's own.
_PARAMS_HEAD = {
    "defaults": [
        {"paths": "default"},
        {"tracking": "sqlite"},
        "_self_",
        {"override hydra/job_logging": "disabled"},
        {"override hydra/hydra_logging": "disabled"},
    ],
    "hydra": {"output_subdir": None, "run": {"dir": "."}},
}


def params_yaml(cfg: DictConfig) -> str:
    """The text of params.yaml: the composed configuration that `dvc repro` runs, places only by name."""
    plain = frozen(cfg)
    for node, written in zip(_cohort_nodes(cfg.cohort), _cohort_nodes(plain["cohort"]), strict=True):
        if "data_dir" in node:
            written["data_dir"] = "${paths.data}"
    head = "# Written by `make params` from conf/; `dvc repro` and `dvc exp run -S` run what stands here.\n"
    return head + yaml.safe_dump({**_PARAMS_HEAD, **plain}, sort_keys=False, allow_unicode=True, width=110)
