"""From conf/ to objects: where the configuration lies, how it is composed, checked and frozen.

This and `pipelines/` are the only places that know Hydra; everything below takes plain arguments.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException, InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from immunocast.cohort.outcomes import ENDPOINTS, Endpoint, make_endpoint
from immunocast.cohort.yaml_text import yaml_text
from immunocast.errors import ConfigError, ImmunocastError
from immunocast.overrides import expand_cohorts
from immunocast.validation.subgroups import subgroup_names

if TYPE_CHECKING:
    from immunocast.gates import GateSettings
    from immunocast.models.orientation import Oriented
    from immunocast.validation.evaluate_survival_inputs import SurvivalSettings
    from immunocast.validation.fold import InnerSettings
    from immunocast.validation.prices import Prices


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
    subgroups: list[str] = field(default_factory=list)
    subgroup_models: list[str] = field(default_factory=list)
    all_pairs: bool = True


@dataclass
class RecalibrationSettings:
    """Types and defaults of the section `recalibration`."""

    methods: list[str] = field(default_factory=list)
    inner_splits: int = 5


@dataclass
class DecisionSettings:
    """Types and defaults of the section `decisions`."""

    rules: list[str] = field(default_factory=list)
    #: checked by `prices_of`
    prices: Any = None


@dataclass
class InteractionSettings:
    """Types and defaults of the section `explain.interactions`; None: the models that are explained as XGBoost."""

    models: list[str] | None = None
    n_pairs: int = 5


@dataclass
class StabilitySettings:
    """Types and defaults of the section `explain.stability`; 0 refits leave them out."""

    models: list[str] = field(default_factory=list)
    n_refits: int = 50


@dataclass
class MethodSettings:
    """Types and defaults of the section `explain.methods`; 0 permutations leave them out."""

    models: list[str] = field(default_factory=list)
    n_permutations: int = 10
    drop_column: bool = True


@dataclass
class ExplainSettings:
    """Types and defaults of the section `explain`."""

    by: list[str] = field(default_factory=list)
    n_resamples: int = 2000
    trees: str = "path_dependent"
    n_background: int = 200
    clusters: float | None = 0.5
    fallback: str = "none"
    interactions: InteractionSettings = field(default_factory=InteractionSettings)
    stability: StabilitySettings = field(default_factory=StabilitySettings)
    methods: MethodSettings = field(default_factory=MethodSettings)
    conformal: list[float] = field(default_factory=list)


@dataclass
class SurvivalSection:
    """Types and defaults of the section `survival`."""

    outcomes: list[str] = field(default_factory=list)
    horizons_months: list[float] = field(default_factory=list)
    risk_groups: int = 3
    landmark_days: float | None = None
    irae_landmark_days: float | None = None
    models: list[str] | None = None


@dataclass
class ControlSettings:
    """Types and defaults of the section `controls`; 0 leaves a control out."""

    models: list[str] = field(default_factory=list)
    n_permutations: int = 20
    n_null_features: int = 20
    n_refits: int = 50


#: Fewest draws from which the controls say something; see docs/controls.md.
_FEWEST_DRAWS = {"n_permutations": 5, "n_null_features": 5, "n_refits": 20}


@dataclass
class Settings:
    """Types of what is not instantiated: a wrong type or an unknown key is refused before anything runs."""

    seed: int = 0
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)
    survival: SurvivalSection = field(default_factory=SurvivalSection)
    explain: ExplainSettings = field(default_factory=ExplainSettings)
    recalibration: RecalibrationSettings = field(default_factory=RecalibrationSettings)
    decisions: DecisionSettings = field(default_factory=DecisionSettings)
    controls: ControlSettings = field(default_factory=ControlSettings)


#: Settings that are lists.
#: Lists that may be null: their default is a rule, which the configuration tells.
_LISTS_OR_NULL = ("explain.interactions.models",)
_LISTS = (
    "evaluation.references",
    "evaluation.thresholds",
    "evaluation.subgroups",
    "evaluation.subgroup_models",
    "explain.by",
    "explain.interactions.models",
    "explain.stability.models",
    "explain.methods.models",
    "explain.conformal",
    "recalibration.methods",
    "decisions.rules",
    "survival.outcomes",
    "survival.horizons_months",
    "controls.models",
)


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
        for key in ("endpoint", *Settings.__dataclass_fields__):
            if key not in cfg:
                raise ConfigError(f"The configuration lacks {key!r}.")
        for key in _LISTS:
            value = OmegaConf.select(cfg, key)
            if value is None and key in _LISTS_OR_NULL:
                continue
            if not OmegaConf.is_list(value):
                raise ConfigError(f"{key} is {value!r}; it must be a list, e.g. {key}=[{value}].")
        OmegaConf.merge(OmegaConf.structured(Settings), {k: cfg[k] for k in Settings.__dataclass_fields__})
    except OmegaConfBaseException as error:
        raise ConfigError(f"Configuration: {str(error).splitlines()[0]} (key {error.full_key})") from error
    if cfg.seed < 0:
        raise ConfigError(f"seed is {cfg.seed}; it must be 0 or more.")
    endpoint_of(cfg)
    survival_settings(cfg)
    settings = cfg.evaluation
    names = list(cfg.models)
    # a reference may be a recalibrated model: loris_routed+platt
    wrong = [m for m in (settings.headline_model, *settings.references) if m.split("+")[0] not in names]
    if wrong:
        raise ConfigError(
            f"evaluation names the model {wrong[0]!r}, which is not among models: {', '.join(names)}. "
            "Set evaluation.headline_model and evaluation.references."
        )
    for name in (*settings.references, *settings.subgroup_models):
        method = name.partition("+")[2]
        if method and method not in cfg.recalibration.methods:
            raise ConfigError(
                f"evaluation names {name!r}, and recalibration.methods is [{', '.join(cfg.recalibration.methods)}]: "
                f"there will be no such predictions. Add {method} there, or name {name.split('+')[0]}."
            )
    if "+" in settings.headline_model:
        raise ConfigError(
            f"evaluation.headline_model is {settings.headline_model!r}; name a model, without a recalibration: "
            f"{settings.headline_model.split('+')[0]}. Its recalibrated predictions are evaluated beside it."
        )
    absent = [m for m in settings.subgroup_models if m.split("+")[0] not in names]
    if absent:
        raise ConfigError(
            f"evaluation.subgroup_models names {absent[0]!r}, which is not among models: {', '.join(names)}."
        )
    subgroup_names(settings.subgroups)
    if any(not 0 < t < 1 for t in settings.thresholds):
        raise ConfigError("evaluation.thresholds are probabilities: each must lie between 0 and 1.")
    for section in ("evaluation", "explain"):
        if cfg[section].n_resamples < 100:
            raise ConfigError(f"{section}.n_resamples is {cfg[section].n_resamples}; an interval needs 100 or more.")
    inner_settings(cfg)
    prices_of(cfg)
    _check_controls(cfg)
    _check_explain(cfg)
    _check_card(cfg)


def _check_card(cfg: DictConfig) -> None:
    """The author's file is read before the run, not after it."""
    from immunocast.report.card.statements import read_statements

    author = OmegaConf.select(cfg, "card.author")
    if author is None:
        return
    if not isinstance(author, str):
        raise ConfigError(f"card.author is {author!r}; give the path of a YAML file, or null.")
    read_statements(Path(author))


def _check_explain(cfg: DictConfig) -> None:
    explain = cfg.explain
    for section in ("interactions", "stability", "methods"):
        wrong = [name for name in explain[section].models or [] if name not in cfg.models]
        if wrong:
            raise ConfigError(
                f"explain.{section}.models names {wrong[0]!r}, which is not among models: {', '.join(cfg.models)}. "
                f"Name a learner, or none: explain.{section}.models=[]."
            )
    for key, known in (("trees", ("path_dependent", "interventional")), ("fallback", ("none", "sampled"))):
        if explain[key] not in known:
            raise ConfigError(f"explain.{key} is {explain[key]!r}; known: {', '.join(known)}.")
    for key, least in (("stability.n_refits", 20), ("methods.n_permutations", 5)):
        value = OmegaConf.select(explain, key)
        if value != 0 and value < least:
            raise ConfigError(f"explain.{key} is {value}; give {least} or more, or 0 to leave it out.")
    if explain.n_background < 20:
        raise ConfigError(f"explain.n_background is {explain.n_background}; a background needs 20 patients or more.")
    if explain.interactions.n_pairs < 1:
        raise ConfigError(f"explain.interactions.n_pairs is {explain.interactions.n_pairs}; it must be 1 or more.")
    if explain.clusters is not None and not 0 < explain.clusters < 1:
        raise ConfigError(f"explain.clusters is {explain.clusters}; it must lie between 0 and 1, or be null.")
    if any(not 0.5 <= c < 1 for c in explain.conformal):
        raise ConfigError("explain.conformal are coverages: each must be at least 0.5 and below 1, e.g. [0.9].")


def _check_controls(cfg: DictConfig) -> None:
    wrong = [name for name in cfg.controls.models if name not in cfg.models]
    if wrong:
        raise ConfigError(
            f"controls.models names {wrong[0]!r}, which is not among models: {', '.join(cfg.models)}. Name a learner, "
            "or none: controls.models=[]."
        )
    for key, fewest in _FEWEST_DRAWS.items():
        value = cfg.controls[key]
        if value != 0 and value < fewest:
            raise ConfigError(f"controls.{key} is {value}; give {fewest} or more, or 0 to leave the control out.")


def endpoint_of(cfg: DictConfig) -> Endpoint:
    """The configured endpoint; its name alone (as `endpoint: dcb` in a file) means its default settings.

    Raises
    ------
    ConfigError
        For an unknown endpoint, and for settings that it does not have or that are out of range.
    """
    settings = OmegaConf.to_container(cfg.endpoint, resolve=True) if OmegaConf.is_config(cfg.endpoint) else cfg.endpoint
    if not isinstance(settings, str | dict):
        raise ConfigError(f"endpoint is {settings!r}; choose one of {', '.join(ENDPOINTS)}.")
    return make_endpoint(settings)  # type: ignore[arg-type]


def survival_settings(cfg: DictConfig) -> SurvivalSettings:
    """The settings of the survival evaluation.

    Raises
    ------
    ConfigError
        For values out of range, and for models that are not configured.
    """
    from immunocast.validation.evaluate_survival_inputs import SurvivalSettings

    plain: Any = OmegaConf.to_container(cfg.survival, resolve=True)
    unknown = [m for m in plain["models"] or () if m not in cfg.models]
    if unknown:
        raise ConfigError(
            f"survival.models names {unknown[0]!r}, which is not among models: {', '.join(map(str, cfg.models))}."
        )
    plain = {k: tuple(v) if isinstance(v, list) else v for k, v in plain.items()}
    return SurvivalSettings(**plain, min_events=cfg.evaluation.min_events)


def load_config(overrides: Sequence[str] = ()) -> DictConfig:
    """Compose the configuration outside of Hydra's own entry points; `cohort=[a,b]` loads several cohorts.

    Raises
    ------
    ConfigError
        Where an override names nothing that exists.
    """
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        try:
            return compose("config", overrides=expand_cohorts(overrides, conf_dir()))
        except HydraException as error:
            raise ConfigError(f"Configuration: {error}{_known_settings(str(error))}") from error


def gate_settings(overrides: Sequence[str] = (), config_dir: Path | None = None) -> GateSettings:
    """The gates of the registry, from conf/promote.yaml; `promotion.gates.min_events.value=50` changes one.

    Parameters
    ----------
    overrides : as of every Hydra configuration; `promotion=NAME` takes another file of the group.
    config_dir : a folder whose promotion/ holds further files of the group.

    Raises
    ------
    ConfigError
        For a setting that does not exist, or a value out of range.
    """
    from immunocast.gates import GateSettings

    places = [f"hydra.searchpath=['{config_dir.absolute().as_uri()}']"] if config_dir else []
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        try:
            cfg = compose("promote", overrides=[*overrides, *places])
            plain = OmegaConf.to_container(cfg, resolve=True)
        except (HydraException, OmegaConfBaseException) as error:
            raise ConfigError(f"Configuration: {str(error).strip()}") from error
    section = plain.get("promotion") if isinstance(plain, dict) else None
    if not isinstance(section, dict) or set(section) != {"gates"} or set(plain) != {"promotion"}:  # type: ignore[arg-type]
        raise ConfigError("The configuration of promotion holds one section, promotion.gates, and nothing else.")
    return GateSettings.from_plain(section["gates"])


def _known_settings(message: str) -> str:
    """What else Hydra's refusal of `endpoint.KEY=` should say: Hydra offers to append a key that is refused later."""
    if "'endpoint." not in message:
        return ""
    has = "; ".join(f"{name}: {', '.join(list(cls().to_dict())[1:])}" for name, cls in ENDPOINTS.items())
    return f" The endpoints have these settings. {has}."


def literal(value: Any) -> Any:
    """Text, or lists and dicts of it, that OmegaConf takes as they stand also where they hold `${`, as headers may."""
    if isinstance(value, dict):
        return {k: literal(v) for k, v in value.items()}
    if isinstance(value, list):
        return [literal(v) for v in value]
    return re.sub(r"(\\*)\$\{", lambda m: m[1] * 2 + r"\${", value) if isinstance(value, str) else value


def build(node: Any, key: str) -> Any:
    """Instantiate a configured object with plain lists and dicts as arguments.

    Raises
    ------
    ConfigError
        Where its constructor refuses the settings; an immunocast error keeps its own words.
    """
    try:
        if isinstance(node, DictConfig):
            # `instantiate` resolves twice more, so that a resolved text with `${` in it has to be guarded twice
            node = literal(literal(OmegaConf.to_container(node, resolve=True)))
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
    """The configured models, unfitted, by name, turned to look the endpoint's way; see `build_oriented`."""
    return dict(build_oriented(cfg).models)


def build_oriented(cfg: DictConfig) -> Oriented:
    """The configured models for the configured endpoint, with what was changed or left out, and why.

    Raises
    ------
    ConfigError
        Where one is no response model, where the headline model can't be used for the endpoint, and where a control
        is to be made of a model that does not learn from labels.
    """
    from immunocast.models.orientation import orient
    from immunocast.models.spec import ResponseModel
    from immunocast.validation.controls_inputs import require_learner

    models = {}
    for name, node in cfg.models.items():
        model = build(node, f"models.{name}")
        if not isinstance(model, ResponseModel):
            raise ConfigError(
                f"models.{name} is a {type(model).__name__} without a ModelSpec. Wrap the classifier: "
                "_target_: immunocast.models.learner.Learner, with the classifier under `estimator`."
            )
        models[str(name)] = model
    oriented = orient(models, endpoint_of(cfg))
    headline = cfg.evaluation.headline_model
    if headline in oriented.left_out:
        raise ConfigError(f"evaluation.headline_model: {oriented.left_out[headline]}. Name another model.")
    for name in cfg.controls.models:
        if name in oriented.models:
            require_learner(str(name), oriented.models[name])
    return oriented


def inner_settings(cfg: DictConfig) -> InnerSettings:
    """What is to come from inside the training folds: tuning, recalibrators, thresholds.

    Raises
    ------
    ConfigError
        For an unknown recalibration, rule or criterion, and for numbers out of range.
    """
    from immunocast.validation.fold import InnerSettings

    return InnerSettings(
        recalibrations=tuple(cfg.recalibration.methods),
        rules=tuple(cfg.decisions.rules),
        tuning=build(cfg.tuning, "tuning") if cfg.get("tuning") else None,
        n_splits=cfg.recalibration.inner_splits,
        seed=cfg.seed,
        min_events=cfg.evaluation.min_events,
    )


def prices_of(cfg: DictConfig) -> Prices | None:
    """The prices of treating and testing; None where they are switched off.

    Raises
    ------
    ConfigError
        For an unknown or missing key, and for a value that is no price.
    """
    from immunocast.validation.prices import Prices

    node = cfg.decisions.prices
    if node is None:
        return None
    if not OmegaConf.is_dict(node):
        raise ConfigError(f"decisions.prices is {node!r}; give currency, treatment and test, or null.")
    return Prices.from_settings(OmegaConf.to_container(node, resolve=True))  # type: ignore[arg-type]


#: Sections and keys that say where things lie on this machine; they never enter a frozen configuration.
_PLACES = ("paths", "tracking", "card")


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
    (plain.get("tuning") or {}).pop("storage", None)
    return {str(k): v for k, v in plain.items()}


def frozen_yaml(cfg: DictConfig) -> str:
    """`frozen` as YAML text, keys in the order of conf/."""
    return yaml_text(frozen(cfg), width=110)


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
    if "card" in cfg:
        plain["card"] = OmegaConf.to_container(cfg.card)
    head = "# Written by `make params` from conf/; `dvc repro` and `dvc exp run -S` run what stands here.\n"
    return head + yaml_text({**_PARAMS_HEAD, **plain}, width=110)
