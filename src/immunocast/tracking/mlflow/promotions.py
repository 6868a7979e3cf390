"""The promotion log in MLflow: entries as parameters of one run, which MLflow itself lets nobody change.

A parameter is written once: to write another value under the same name is refused by the store's own primary key.
So the entry's number is a compare-and-set among all hosts, which aliases and tags do not have (ADR 39). The run lies
in an experiment of its own and has nothing to do with any version or registered model: it stays when they go.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from immunocast.errors import ConfigError
from immunocast.tracking.mlflow.tracker import EXPERIMENT_TAGS, MAX_TAG, NOTE, Tracker
from immunocast.tracking.promotion_log import Entry, Log, chained, parse

if TYPE_CHECKING:
    from mlflow.entities import Run

#: Experiment and run of the log. One log for all models of a store: nobody can take away that of one model.
EXPERIMENT = "immunocast-promotions"
LOG_TAG = "immunocast.promotion_log"
_KEY = "entry.{:06d}"


class TakenError(Exception):
    """Another host wrote the entry of this number first; `log` is what stands there now."""

    def __init__(self, log: Log):
        super().__init__("the entry is taken")
        self.log = log


def read_log(tracker: Tracker) -> Log:
    """The log with all that is wrong with it; empty where nothing was ever promoted. Creates nothing.

    Raises
    ------
    ConfigError
        Where the experiment or run of the log was deleted in MLflow.
    """
    return _parsed(_log_runs(tracker))


def append(tracker: Tracker, draft: Entry, last: Entry | None) -> Entry:
    """Write an entry after `last`, unless somebody else has done so.

    Returns
    -------
    Entry
        As it stands in the log. Where the answer of the server was lost, the same entry is found again.

    Raises
    ------
    TakenError
        Where another entry has the number.
    """
    from mlflow.exceptions import MlflowException

    run_id = _run_to_write(tracker)
    entry = chained(draft, last)
    try:
        tracker.client.log_param(run_id, _KEY.format(entry.n), entry.text())
    except MlflowException:
        log = read_log(tracker)
        there = next((e for e in log.entries if e.n == entry.n), None)
        if there is None:
            raise
        if there.hash != entry.hash:
            raise TakenError(log) from None
    return entry


def describe_log(tracker: Tracker, log: Log, row: Callable[[Entry], str], head: str) -> None:
    """Show the newest entries on the run's page; the parameters below are what counts."""
    lines = [row(entry) for entry in reversed(log.entries)]
    text = "\n".join([head, *lines])
    while len(text) > MAX_TAG and lines:
        lines.pop()
        text = "\n".join([head, *lines])
    for run in _log_runs(tracker)[:1]:
        tracker.client.set_tag(run.info.run_id, NOTE, text)


def _parsed(runs: list[Run]) -> Log:
    stored = []
    for run in runs:
        for key, text in run.data.params.items():
            number = re.fullmatch(r"entry\.(\d{6,9})", key)
            if number:
                stored.append((int(number[1]), text))
    log = parse(stored)
    written = [run.info.run_id for run in runs if run.data.params]
    if len(written) > 1:
        return Log(log.entries, (f"there are {len(written)} logs: runs {', '.join(written)}", *log.problems))
    return log


def _log_runs(tracker: Tracker) -> list[Run]:
    """The runs that are logs, written ones first; there should be one, or none before the first promotion."""
    from mlflow.entities import ViewType

    client = tracker.client
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        return []
    if experiment.lifecycle_stage != "active":
        raise ConfigError(
            f"The experiment {EXPERIMENT!r}, which holds the promotion log, was deleted in MLflow. Restore it: "
            f"mlflow experiments restore --experiment-id {experiment.experiment_id}"
        )
    runs = list(client.search_runs([experiment.experiment_id], f"tags.`{LOG_TAG}` = 'yes'", ViewType.ALL))
    gone = [run for run in runs if run.info.lifecycle_stage != "active" and run.data.params]
    if gone:
        raise ConfigError(
            f"The promotion log was deleted in MLflow. Restore it: mlflow runs restore --run-id {gone[0].info.run_id}"
        )
    active = [run for run in runs if run.info.lifecycle_stage == "active"]
    return sorted(active, key=lambda r: (not r.data.params, r.info.start_time, r.info.run_id))


def _run_to_write(tracker: Tracker) -> str:
    """Id of the log's run, made where there is none.

    To make a run is no compare-and-set. Whoever sees another one beside the one just made takes the own away and
    looks again: the later of two always sees the earlier.
    """
    from mlflow.exceptions import MlflowException

    client = tracker.client
    if client.get_experiment_by_name(EXPERIMENT) is None:
        note = "Who promoted which version to champion or challenger, by which gates. `immunocast history` checks it."
        try:
            client.create_experiment(
                EXPERIMENT, tracker._artifact_location(), tags={**EXPERIMENT_TAGS, "mlflow.note.content": note}
            )
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
    for _ in range(20):
        runs = _log_runs(tracker)
        if runs:
            return str(runs[0].info.run_id)
        experiment = client.get_experiment_by_name(EXPERIMENT)
        assert experiment is not None
        made = client.create_run(experiment.experiment_id, run_name="promotion log", tags={LOG_TAG: "yes"})
        client.set_terminated(made.info.run_id, "FINISHED")
        others = [run for run in _log_runs(tracker) if run.info.run_id != made.info.run_id]
        if not others or client.get_run(made.info.run_id).data.params:
            return str(made.info.run_id)
        client.delete_run(made.info.run_id)
        time.sleep(random.uniform(0.01, 0.3))
    raise ConfigError("The promotion log could not be begun: many hosts begin it at once. Try again.")
