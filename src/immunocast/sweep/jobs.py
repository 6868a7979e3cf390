"""The jobs of a sweep: what each one sets, and the digest of what it will be."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig

from immunocast.config import check, conf_dir, frozen_yaml, load_config
from immunocast.errors import ConfigError, ImmunocastError
from immunocast.overrides import expand_cohorts
from immunocast.sweep.words import Words


@dataclass(frozen=True)
class Job:
    """One run of a sweep.

    Attributes
    ----------
    number : from 1.
    words : overrides beside those that all jobs share.
    settings : what it sets, by name without signs, as text.
    digest : of its frozen configuration: equal for equal runs.
    params : what Optuna proposed; {} in a grid.
    """

    number: int
    words: tuple[str, ...]
    settings: Mapping[str, str]
    digest: str
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What it sets, in a line."""
        return title_of(self.settings)


def title_of(settings: Mapping[str, str]) -> str:
    """Settings in a line; long names by their last parts.

    >>> title_of({"features": "default", "models.ridge.estimator.C": "0.1"})
    'features=default, ridge.estimator.C=0.1'
    """
    return ", ".join(f"{'.'.join(key.split('.')[-3:])}={value}" for key, value in settings.items()) or "as configured"


def settings_of(words: Sequence[str]) -> dict[str, str]:
    """Overrides as names and values.

    >>> settings_of(["+model@models.x=ridge", "seed=3"])
    {'model@models.x': 'ridge', 'seed': '3'}
    """
    pairs = (word.lstrip("+~").partition("=") for word in words)
    return {key: value.strip("'\"") if not value.startswith("[") else value for key, _, value in pairs}


def compose_job(words: Words, own: Sequence[str] = ()) -> DictConfig:
    """The configuration of a job.

    Raises
    ------
    ConfigError
        Where an override names nothing that exists.
    """
    return load_config([*_place(words), *words.fixed, *own])


def compose_hydra(words: Words) -> DictConfig:
    """Hydra's own part of the configuration that all jobs share: what groups were chosen, and the launcher.

    Raises
    ------
    ConfigError
        Where an override names nothing that exists, and where a file gives values to Hydra's sweeper.
    """
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        try:
            overrides = [*_place(words), *expand_cohorts(words.fixed, conf_dir())]
            hydra: DictConfig = compose("config", overrides=overrides, return_hydra_config=True).hydra
        except HydraException as error:
            raise ConfigError(f"Configuration: {error}") from error
    if hydra.sweeper.get("params"):
        raise ConfigError(
            f"hydra.sweeper.params gives {', '.join(map(str, hydra.sweeper.params))} several values, which is not read "
            "here. Write them into conf/sweep/NAME.yaml as `vary`, and choose it by sweep=NAME (docs/sweeps.md)."
        )
    return hydra


def _place(words: Words) -> list[str]:
    return [f"hydra.searchpath=[file://{Path(words.config_dir).absolute()}]"] if words.config_dir else []


def digest_of(cfg: DictConfig) -> str:
    """Digest of a frozen configuration, 12 digits."""
    return hashlib.sha256(frozen_yaml(cfg).encode()).hexdigest()[:12]


def grid_jobs(words: Words) -> list[Job]:
    """All jobs of a grid. A misspelt setting is told before anything runs.

    Raises
    ------
    ConfigError
        Where nothing varies, where an override names nothing that exists, where two jobs are the same run, and where
        no job has settings that fit together; jobs that have not will fail alone.
    """
    if not words.varied:
        raise ConfigError(
            "Nothing varies in this sweep. Give a setting several values, e.g. features=default,linear_tmb, or "
            "search with sweep=optuna."
        )
    jobs: list[Job] = []
    unfit: list[ImmunocastError] = []
    for number, own in enumerate(words.grid(), start=1):
        cfg = compose_job(words, own)
        try:
            check(cfg)
            digest = digest_of(cfg)
        except ImmunocastError as error:
            unfit.append(error)
            digest = hashlib.sha256(" ".join((*words.fixed, *own)).encode()).hexdigest()[:12]
        same = next((job for job in jobs if job.digest == digest), None)
        job = Job(number, own, settings_of(own), digest)
        if same is not None:
            raise ConfigError(
                f"Jobs {same.number} ({same.title}) and {number} ({job.title}) of this sweep are the same run."
            )
        jobs.append(job)
    if len(unfit) == len(jobs):
        raise unfit[0]
    return jobs


def sweep_digest(**content: Any) -> str:
    """Digest of what makes a sweep this sweep, 8 digits."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:8]
