"""A sweep from its words to its exit code."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig
from rich.console import Console
from rich.markup import escape

from immunocast.config import build
from immunocast.errors import ConfigError, ImmunocastError, PublishError, SweepError
from immunocast.sweep.folder import DONE, FAILED, JobState, SweepFolder, find_folder
from immunocast.sweep.jobs import Job, compose_hydra, compose_job, grid_jobs, sweep_digest
from immunocast.sweep.progress import SweepProgress
from immunocast.sweep.runner import Launch, job_command, run_jobs
from immunocast.sweep.settings import Objective, SweepSettings, load_settings, n_workers
from immunocast.sweep.study import Study, make_study, objective_value
from immunocast.sweep.words import Words, parse

if TYPE_CHECKING:
    from immunocast.sweep.published import SweepRun
    from immunocast.tracking.mlflow import Tracker


@dataclass(frozen=True)
class Plan:
    """What is to be done: the jobs of a grid, or a study that proposes them."""

    words: Words
    settings: SweepSettings
    workers: int
    jobs: tuple[Job, ...]
    study: Study | None
    cfg: DictConfig

    @property
    def objective(self) -> Objective | None:
        """What a search looks for, None in a grid."""
        return self.settings.objective if self.study else None

    @property
    def name(self) -> str:
        """What varies, short."""
        varied = list(self.settings.search) if self.study else [v.name for v in self.words.varied]
        return ("search " if self.study else "") + " x ".join(key.split(".")[-1] for key in varied)

    @property
    def digest(self) -> str:
        """What makes the sweep this one: the same command finds it again. Workers and trials may change."""
        if self.study:
            return self.study.digest
        return sweep_digest(kind="grid", data=str(self.cfg.paths.data), jobs=[job.digest for job in self.jobs])

    @property
    def total(self) -> int:
        """Jobs altogether."""
        return self.settings.n_trials if self.study else len(self.jobs)


def make_plan(argv: Sequence[str]) -> Plan:
    """Read and check everything that can be checked before a job runs.

    Raises
    ------
    ConfigError
        For mistakes in the words and settings of the sweep, and for settings that no job could run with.
    """
    words = parse(argv)
    settings = load_settings(words)
    if settings.vary:
        given = {v.name for v in words.varied}
        words = replace(words, varied=(*(v for v in settings.vary if v.name not in given), *words.varied))
    study = make_study(words, settings) if settings.kind == "optuna" else None
    jobs = () if study else tuple(grid_jobs(words))
    cfg = compose_job(words, () if study else jobs[0].words)
    hydra = compose_hydra(words)
    if words.workers is None and hydra.runtime.choices["hydra/launcher"] == "joblib":  # an experiment's file may say so
        words = replace(words, workers=int(hydra.launcher.n_jobs))
    return Plan(words, settings, n_workers(settings, words), jobs, study, cfg)


def run_sweep(argv: Sequence[str], script: str, console: Console) -> None:
    """Run a sweep, or go on with it.

    Parameters
    ----------
    argv : words of the command line.
    script : pipelines/run.py, which each job calls.
    console : where progress goes.

    Raises
    ------
    ImmunocastError
        For what can be told before a job runs; SweepError where jobs failed.
    """
    plan = make_plan(argv)
    folder = find_folder(Path(plan.cfg.paths.sweeps), plan.name, plan.digest, fresh=plan.settings.fresh)
    tracker: Tracker | None = build(plan.cfg.tracking, "tracking") if plan.cfg.tracking else None
    with folder.alone(), contextlib.ExitStack() as stack:
        before = [folder.settle(state) for state in folder.states() if state.number <= plan.total]
        _tell_start(plan, folder, before, console)
        kept = folder.about()
        folder.write_about(
            sweep_id=folder.sweep_id,
            kind=plan.settings.kind,
            command=list(argv),
            created=kept.get("created") or datetime.now(UTC).isoformat(timespec="seconds"),
            varied=[v.name for v in plan.words.varied] or list(plan.settings.search),
            objective=vars(plan.objective) if plan.objective else None,
        )
        run = _open_run(tracker, folder, stack, console) if tracker else None
        launch = Launch(
            job_command(script, _job_words(plan.words)), plan.workers, _cores(), run.handle.run_id if run else None
        )
        progress = SweepProgress(console, folder, plan.total, plan.workers, before)
        try:
            with progress:
                states = (
                    _run_study(plan, folder, launch, progress)
                    if plan.study
                    else _run_grid(plan, folder, launch, progress)
                )
        except BaseException:
            # what is done is told also where the rest was stopped; the reason for the stop comes through
            with contextlib.suppress(ImmunocastError, OSError):
                finish(plan, folder, folder.states(), run, console)
            raise
        unpublished = finish(plan, folder, states, run, console)
        failed = [state for state in states if state.status == FAILED]
        if failed:
            lines = [f"  job {s.number} ({s.title}): {s.error}\n    {folder.error_path(s.number)}" for s in failed]
            raise SweepError(
                f"{len(failed)} of {len(states)} jobs of this sweep failed; the same command runs them again, and "
                "none of the others.\n" + "\n".join([*lines, *([unpublished] if unpublished else [])])
            )
        if unpublished and tracker and tracker.required:
            raise PublishError(unpublished)
        if unpublished:
            console.print(f"[bold yellow]Warning[/]: {escape(unpublished)}", soft_wrap=True)


def _open_run(tracker: Tracker, folder: SweepFolder, stack: contextlib.ExitStack, console: Console) -> SweepRun | None:
    """Open the sweep's run; None where that fails and tracking.required is off.

    It connects first: the store's tables are made by one process, before the workers need them.
    """
    from immunocast.sweep.published import sweep_run

    try:
        return stack.enter_context(sweep_run(tracker, folder))
    except ConfigError as error:
        if tracker.required:
            raise ConfigError(f"{error} No job was begun; tracking.required=false computes all the same.") from error
        console.print(f"[bold yellow]Warning[/]: {escape(str(error))} The sweep goes on without it.", soft_wrap=True)
        return None


def _job_words(words: Words) -> list[str]:
    place = ["--config-dir", words.config_dir] if words.config_dir else []
    return [*place, *words.fixed]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _tell_start(plan: Plan, folder: SweepFolder, before: Sequence[JobState], console: Console) -> None:
    done = sum(state.status == DONE for state in before)
    again = sum(state.status == FAILED for state in before)
    line = f"Sweep {folder.sweep_id}: {plan.total} jobs, {plan.workers} at a time"
    if before:
        line += f"; goes on, {done} done before" + (f", {again} that failed run again" if again else "")
        line += " (sweep.fresh=true begins anew)"
    console.print(escape(line), soft_wrap=True)


def _merged(jobs: Sequence[Job], known: dict[int, JobState], folder: SweepFolder) -> list[JobState]:
    """States of jobs: what is known of them, where they are still the same, else waiting."""
    states = []
    for job in jobs:
        state = known.get(job.number)
        if state is None or state.digest != job.digest:
            state = JobState(job.number, job.digest, job.words, dict(job.settings), dict(job.params))
        state = folder.settle(state)
        folder.write_state(state)
        states.append(state)
    return states


def _run_grid(plan: Plan, folder: SweepFolder, launch: Launch, progress: SweepProgress) -> list[JobState]:
    known = {state.number: state for state in folder.states()}
    return run_jobs(_merged(plan.jobs, known, folder), folder, launch, progress)


def _run_study(plan: Plan, folder: SweepFolder, launch: Launch, progress: SweepProgress) -> list[JobState]:
    study = plan.study
    assert study is not None
    all_states: list[JobState] = []
    trials: list[tuple[dict, float | None]] = []
    for number in range(study.n_batches()):
        known = {state.number: state for state in folder.states()}
        states = _merged(study.jobs(number, trials), known, folder)
        first = {state.digest: state for state in reversed([*all_states, *states])}
        # Optuna may propose the same settings twice: they are run once
        own = [state for state in states if first[state.digest].number == state.number]
        ran = {state.number: state for state in run_jobs(own, folder, launch, progress)}
        done = {state.digest: state for state in (*all_states, *ran.values())}
        for state in states:
            if state.number not in ran:
                like = done[state.digest]
                if state.same_as is None:
                    progress.ended(replace(like, number=state.number, seconds=None))
                state = replace(
                    state, status=like.status, run=like.run, error=like.error, same_as=first[state.digest].number
                )
                folder.write_state(state)
                ran[state.number] = state
        batch = [ran[n] for n in sorted(ran)]
        all_states += batch
        trials += [(dict(s.params), objective_value(s, study.settings.objective)) for s in batch]
        study.keep(folder, trials)
    return all_states


def finish(
    plan: Plan, folder: SweepFolder, states: Sequence[JobState], run: SweepRun | None, console: Console
) -> str | None:
    """Results to the folder, then to MLflow, and where they are to the console.

    Returns
    -------
    Why the sweep is not, or not wholly, in MLflow; None where it is, or where nothing is tracked.
    """
    from immunocast.sweep.results import best_of, differing, results_table, write_results
    from immunocast.sweep.summary import summary_markdown

    if not states:
        return None
    objective = plan.objective
    results = results_table(states, objective)
    best, synthetic = best_of(results, objective), _synthetic(states)

    def summary(states: Sequence[JobState], links: Mapping[int, str] | None = None, views: str = "") -> str:
        return summary_markdown(
            results,
            states,
            best,
            objective=objective,
            synthetic=synthetic,
            warnings=differing(results, states),
            links=links,
            views=views,
        )

    write_results(folder.path, results, summary(states))
    console.print(escape(f"Results: {folder.path / 'summary.md'}"), soft_wrap=True)
    if run is None:
        return None
    from immunocast.sweep import published as out

    try:
        with run.tracker.told():
            late = out.publish_late(run, states)
            if late != list(states):
                states = late
                for state in states:
                    folder.write_state(state)
                results = results_table(states, objective)
                write_results(folder.path, results, summary(states))
            text = summary(states, out.links_of(run, states), out.views_of(run, folder, states))
            records = out.sweep_records(folder, results, states, best, text, objective=objective, synthetic=synthetic)
            out.close_with(run, folder, records, synthetic)
    except (ConfigError, PublishError) as error:
        return f"The sweep is computed and not wholly published; the same command publishes the rest. {error}"
    console.print(escape(f"MLflow: {run.handle.url}"), soft_wrap=True)
    return None


def _synthetic(states: Sequence[JobState]) -> bool | None:
    from immunocast.tracking.records import is_synthetic

    found = {is_synthetic(state.run_folder) for state in states if state.run_folder is not None}
    return found.pop() if len(found) == 1 else None
