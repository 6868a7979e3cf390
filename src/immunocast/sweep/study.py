"""The jobs that Optuna proposes, in batches, so that what is tried does not depend on how many run at a time.

Trial 1 is the settings as they stand. The trials of a batch are proposed by samplers that are seeded with the sweep's
seed and the trial's number, and that know the batches before: the same sweep makes the same trials with one worker and
with eight, killed or not, and a larger n_trials goes on where a smaller one ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from immunocast.config import build, check
from immunocast.errors import ConfigError
from immunocast.sweep.folder import DONE, JobState, SweepFolder
from immunocast.sweep.jobs import Job, compose_hydra, compose_job, digest_of, settings_of, sweep_digest
from immunocast.sweep.settings import Objective, SweepSettings, as_word
from immunocast.sweep.words import Words
from immunocast.validation.search_space import distributions
from immunocast.validation.studies import Direction, Studies, Trial, propose

#: Schemes whose test patients train no model of the run: to choose by them would use them up.
HELD_OUT = ("train_test", "external", "temporal")


@dataclass(frozen=True)
class Study:
    """An Optuna sweep: its words, its settings, and what the searched settings are now."""

    words: Words
    settings: SweepSettings
    current: Mapping[str, Any]
    digest: str

    @property
    def direction(self) -> Direction:
        """As Optuna spells it."""
        return "maximize" if self.settings.objective.direction == "maximise" else "minimize"

    def batch(self, number: int) -> range:
        """The numbers of the trials of a batch."""
        size = self.settings.batch
        return range(number * size + 1, min((number + 1) * size, self.settings.n_trials) + 1)

    def n_batches(self) -> int:
        """Batches up to n_trials."""
        return -(-self.settings.n_trials // self.settings.batch)

    def jobs(self, number: int, before: Sequence[tuple[Mapping[str, Any], float | None]]) -> list[Job]:
        """The jobs of a batch.

        Parameters
        ----------
        number : of the batch, from 0.
        before : parameters and objective of all trials of the batches before, in order; None where a trial failed.
        """
        trials = [Trial(dict(params), value) for params, value in before]
        made = []
        for n in self.batch(number):
            if n == 1:
                params: Mapping[str, Any] = self.current
            else:
                params = propose(self.settings.search, trials, (self.settings.seed, n), self.direction)
            own = () if n == 1 else tuple(f"{key}={as_word(value)}" for key, value in params.items())
            cfg = compose_job(self.words, own)
            said = settings_of([f"{key}={as_word(value)}" for key, value in params.items()])
            made.append(Job(n, own, said, digest_of(cfg), dict(params)))
        return made

    def keep(self, folder: SweepFolder, trials: Sequence[tuple[Mapping[str, Any], float | None]]) -> None:
        """Write finished trials into the journal, for Optuna's own tools; those that it holds are left alone."""
        path = folder.path / "optuna.log"
        kept = Studies(str(path)).open(folder.sweep_id, self.direction)
        held = len(kept.load())
        for number, (params, value) in enumerate(trials):
            if number >= held:
                kept.add(
                    number, Trial(dict(params), value, "" if value is not None else "failed"), self.settings.search
                )


def make_study(words: Words, settings: SweepSettings) -> Study:
    """Check what is searched, and by what.

    Raises
    ------
    ConfigError
        Where settings vary besides, where a searched setting does not exist, where the objective's model or
        recalibration is not part of the run, and where the objective would be the performance on held-out test
        patients.
    """
    if words.varied:
        raise ConfigError(
            f"{words.varied[0].name} has several values, and sweep={words.sweep} is a search. Give what is to be "
            f"searched a range: sweep.search.{words.varied[0].name}={{choices: [a, b]}}."
        )
    cfg = compose_job(words)
    check(cfg)
    refuse_held_out(str(getattr(build(cfg.validation, "validation"), "name", "")), str(cfg.validation.get("_target_")))
    objective = settings.objective
    if objective.model is not None and objective.model not in cfg.models:
        raise ConfigError(
            f"sweep.objective.model is {objective.model!r}, which is not among models: "
            f"{', '.join(map(str, cfg.models))}."
        )
    if objective.recalibration not in ("none", *cfg.recalibration.methods):
        raise ConfigError(
            f"sweep.objective.recalibration is {objective.recalibration!r}, and recalibration.methods is "
            f"[{', '.join(cfg.recalibration.methods)}]."
        )
    if objective.threshold is not None and objective.threshold not in list(cfg.evaluation.thresholds):
        raise ConfigError(
            f"sweep.objective.threshold is {objective.threshold:g}, which is not among evaluation.thresholds."
        )
    distributions(settings.search)
    choices = compose_hydra(words).runtime.choices
    current = {key: _current(cfg, choices, key) for key in sorted(settings.search)}
    digest = sweep_digest(
        kind="optuna",
        base=digest_of(cfg),
        data=str(cfg.paths.data),
        search=settings.search,
        objective=vars(objective),
        seed=settings.seed,
        batch=settings.batch,
    )
    return Study(words, settings, current, digest)


def refuse_held_out(scheme: str, target: str = "") -> None:
    """Refuse to search by the performance on patients who train no model.

    Raises
    ------
    ConfigError
        Where the scheme tests on held-out patients.
    """
    if scheme in HELD_OUT:
        raise ConfigError(
            f"validation is {scheme} ({target}): its estimates are those of a held-out test set, and the best of many "
            "trials by them is no test any more. Search by cross-validation on the training cohorts alone (e.g. "
            "cohort.cohorts=[...] validation=repeated_kfold), or inside the folds (tuning=optuna), and test the one "
            "that was chosen once."
        )


def _current(cfg: DictConfig, choices: Mapping[str, Any], key: str) -> Any:
    """The searched setting as it stands: the choice of a group, or a value."""
    if key in choices:
        return choices[key]
    missing = object()
    value = OmegaConf.select(cfg, key, default=missing)
    if value is missing:
        raise ConfigError(f"sweep.search.{key}: there is no such setting.")
    if OmegaConf.is_config(value):
        raise ConfigError(f"sweep.search.{key} is a section; name a setting in it.")
    return value


def objective_value(state: JobState, objective: Objective) -> float | None:
    """What a job reached; None where it failed or the estimate could not be made."""
    from immunocast.report.view import RunView

    run = state.run_folder
    if state.status != DONE or run is None:
        return None
    view = RunView(run)
    row = view.metric(
        objective.metric,
        objective.model or view.headline,
        recalibration=objective.recalibration,
        threshold=objective.threshold,
    )
    value = None if row is None else row["estimate"]
    return None if value is None or value != value else float(value)
