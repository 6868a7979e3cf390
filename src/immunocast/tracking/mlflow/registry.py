"""Versions and aliases of MLflow's registry, as promotion needs them: found, read, moved, tagged."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from immunocast.cohort.hints import did_you_mean
from immunocast.errors import NotFoundError
from immunocast.gates import GATES
from immunocast.tracking.mlflow.models import MAX_DESCRIPTION
from immunocast.tracking.mlflow.tracker import Tracker
from immunocast.tracking.publish import KEY, STATE, VERSION

_HEADING = "#### Promotion and gates"


@dataclass(frozen=True)
class Version:
    """A version of a registered model, and the run that it comes from.

    Attributes
    ----------
    name, number : in the registry.
    model : name of the model in its run.
    run_id : id of the run folder, "" where the version was not made by `publish`.
    publish_key : see `publish.publish_key`.
    mlflow_run : MLflow's id of the model's run.
    tags : of the version.
    """

    name: str
    number: int
    model: str
    run_id: str
    publish_key: str
    mlflow_run: str
    tags: Mapping[str, str]

    @property
    def title(self) -> str:
        """How to call it."""
        return f"{self.name} version {self.number}"


def told(tracker: Tracker, after: str = "") -> contextlib.AbstractContextManager[None]:
    """Turn what MLflow and its store raise into a message; `after` says what it means."""
    return tracker.told(what="failed", after=after)


def published_version(tracker: Tracker, key: str, run_id: str, model: str) -> Version:
    """The registered version of a model of a published run.

    Parameters
    ----------
    tracker : the connection.
    key : `publish.publish_key` of the run folder.
    run_id : its id, for messages.
    model : name in the run.

    Raises
    ------
    NotFoundError
        Where the run is not published there, the model is not registered, or its version was deleted.
    """
    client = tracker.client
    experiments = [e.experiment_id for e in client.search_experiments()]
    runs = list(client.search_runs(experiments, f"tags.`{KEY}` = '{key}'", max_results=1000))
    where = f"MLflow at {tracker.shown_uri}"
    if not runs:
        raise NotFoundError(
            f"Run {run_id} is not published in {where}, so it has no version to promote. Publish it (immunocast "
            f"publish {run_id}), or name the store that has it: --tracking-uri."
        )
    of_model = [run for run in runs if run.data.tags.get("model") == model]
    whole = [run for run in of_model if run.data.tags.get(STATE) == "complete"]
    if not whole:
        known = sorted({run.data.tags["model"] for run in runs if "model" in run.data.tags})
        if of_model or not known:
            raise NotFoundError(
                f"The publication of run {run_id} in {where} broke off. Complete it: immunocast publish {run_id}"
            )
        raise NotFoundError(f"Run {run_id} has no model {model!r}. It has: {', '.join(known)}.")
    named = next((run.data.tags[VERSION] for run in whole if VERSION in run.data.tags), None)
    if named is None:
        registered = sorted(run.data.tags["model"] for run in runs if VERSION in run.data.tags)
        raise NotFoundError(
            f"{model} of run {run_id} is logged in MLflow but not registered, as all published models are: there is "
            f"nothing to promote. Registered models of the run: {', '.join(registered) or 'none'}."
        )
    name, _, number = named.rpartition("/")
    found = version(tracker, name, int(number))
    if found is None:
        raise NotFoundError(
            f"{name} version {number}, {model} of run {run_id}, was deleted in {where}. Promote another version, or "
            "train the model again."
        )
    return found


def version(tracker: Tracker, name: str, number: int) -> Version | None:
    """A version with what its run says of it; None where it is not there."""
    from mlflow.exceptions import MlflowException

    client = tracker.client
    try:
        found = client.get_model_version(name, str(number))
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
    tags: dict[str, str] = {}
    if found.run_id:
        try:
            tags = client.get_run(found.run_id).data.tags
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
    return Version(
        name,
        int(number),
        tags.get("model", ""),
        tags.get("immunocast.run_id", ""),
        tags.get(KEY, ""),
        found.run_id or "",
        dict(found.tags),
    )


def registered_names(tracker: Tracker) -> dict[str, dict[str, str]]:
    """Names of the registered models with their tags."""
    found: dict[str, dict[str, str]] = {}
    token = None
    while True:
        page = tracker.client.search_registered_models(page_token=token)
        found |= {model.name: dict(model.tags) for model in page}
        token = page.token
        if not token:
            return found


def full_name(tracker: Tracker, name: str, more: Iterable[str] = ()) -> str:
    """A registered model by its name, or by the part of it that is the model's own.

    Parameters
    ----------
    tracker : the connection.
    name : "immunocast-ridge", or "ridge".
    more : names that count as known beside those of the registry.

    Raises
    ------
    NotFoundError
        Where there is none.
    """
    known = sorted({*registered_names(tracker), *more})
    for full in (name, f"immunocast-{name}"):
        if full in known:
            return full
    hint = did_you_mean(name, known)
    raise NotFoundError(f"There is no registered model {name!r}. {hint} There are: {', '.join(known) or 'none'}.")


def aliases(tracker: Tracker, name: str) -> dict[str, int]:
    """Version of each alias; {} where there is no such registered model."""
    from mlflow.exceptions import MlflowException

    try:
        found = tracker.client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return {}
        raise
    return {str(alias): int(number) for alias, number in found.aliases.items()}


def move_alias(tracker: Tracker, name: str, alias: str, number: int) -> bool:
    """Let an alias name a version; False where there is no such version any more."""
    from mlflow.exceptions import MlflowException

    try:
        tracker.client.set_registered_model_alias(name, alias, str(number))
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise
    return True


def tag_version(tracker: Tracker, name: str, number: int, tags: Mapping[str, str]) -> None:
    """Set tags of a version."""
    for key, value in tags.items():
        tracker.client.set_model_version_tag(name, str(number), key, value)


def tag_model(tracker: Tracker, name: str, key: str, value: str) -> None:
    """Set a tag of a registered model."""
    tracker.client.set_registered_model_tag(name, key, value)


def describe_version(tracker: Tracker, name: str, number: int) -> None:
    """Show promotions and verdicts at the end of a version's description; as tags they are set narrowly."""
    found = tracker.client.get_model_version(name, str(number))
    head = (found.description or "").partition(_HEADING)[0].rstrip()
    text = with_verdicts(head, found.tags)
    if text != found.description:
        tracker.client.update_model_version(name, str(number), text)


def with_verdicts(head: str, tags: Mapping[str, str]) -> str:
    """A description with what the tags `promotion.*` and `gate.*` say, cut to what MLflow takes."""
    promotions = [f"- **{key.partition('.')[2]}**: {tags[key]}" for key in sorted(tags) if key.startswith("promotion.")]
    order = [f"gate.{gate}" for gate in GATES]
    gates = [key for key in order if key in tags]
    for limit in (600, 250, 120, 60, 20):
        lines = [f"- {key.partition('.')[2]}: {_status_first(tags[key], limit)}" for key in gates]
        block = "\n".join([_HEADING, "", *promotions, *lines])
        if len(head) + len(block) + 2 <= MAX_DESCRIPTION:
            break
    else:
        head = head[: max(MAX_DESCRIPTION - len(block) - 2, 0)]
    return f"{head}\n\n{block}"[:MAX_DESCRIPTION]


def _status_first(text: str, limit: int) -> str:
    status, _, words = text.partition(": ")
    words = words if len(words) <= limit else words[:limit] + "..."
    return f"**{status}**: {words}" if words else f"**{status}**"
