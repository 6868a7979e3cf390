"""Who publishes a run folder: kept apart where two begin at once, told afterwards where that was not enough.

On one host a file lock orders publishers. Across hosts MLflow has nothing to order them by (no unique key, no
compare-and-set on a run), so that each writes its claim, a run with the key, and then looks whether another one was
earlier: the later one goes. With clocks that differ two may still pass, which the look at the end finds.
"""

from __future__ import annotations

from immunocast.tracking.mlflow import RunHandle, Tracker

#: Tag with the id of the run folder, which an open run has from the start.
RUN_ID = "immunocast.run_id"


class TakenError(Exception):
    """Another process, as far as one can know a living one, publishes the same folder."""


def start(tracker: Tracker, name: str, key_tag: str, key: str) -> RunHandle:
    """Open the parent run of a publication, unless somebody else is just doing that.

    Raises
    ------
    TakenError
        Where a run with the same key was there first; the own one is taken back.
    """
    handle = tracker.start(name, {key_tag: key})
    earliest = next(iter(tracker.find({key_tag: key})), handle.run_id)
    if earliest != handle.run_id and (who := tracker.answering(earliest)):
        tracker.withdraw(handle.run_id, [key_tag], f"{who} publishes the same run folder, as {earliest}")
        raise TakenError(f"{who} publishes this run at the moment.")
    return handle


def refuse_taken(tracker: Tracker, run_id: str, take_over: bool = False) -> None:
    """Leave a run alone that another process is filling.

    Raises
    ------
    TakenError
        Where one does, and `take_over` does not say that it is dead.
    """
    who = None if take_over else tracker.answering(run_id)
    if who is not None:
        raise TakenError(f"{who} publishes this run, or did until it was cut off.")


def left_open(tracker: Tracker, run_id: str, key_tag: str) -> str | None:
    """The run that a pipeline opened for a run folder and could not fill: the store was gone, or it was killed.

    Parameters
    ----------
    tracker : the connection.
    run_id : id of the run folder.
    key_tag : tag of a run that is being, or was, filled; such a run is no longer free.

    Returns
    -------
    MLflow's id, None where there is none.
    """
    return next((i for i, tags in tracker.find({RUN_ID: run_id}).items() if key_tag not in tags), None)


def others(tracker: Tracker, key_tag: str, key: str, state_tag: str, ours: set[str]) -> list[str]:
    """Publications of the same folder that are not ours, after those were taken back that nobody will fill.

    A call whose answer was lost on the way is made again, and then two runs exist where one was meant.

    Returns
    -------
    MLflow's ids of the other parents, oldest first.
    """
    found = []
    known = tracker.find({key_tag: key})
    for run_id, tags in known.items():
        if run_id in ours:
            continue
        if tags.get(state_tag) != "complete" and tracker.answering(run_id) is None:
            tracker.withdraw(run_id, [key_tag], "made twice, since the answer to the first call was lost")
        elif tags.get("mlflow.parentRunId") not in known:
            found.append(run_id)
    return found
