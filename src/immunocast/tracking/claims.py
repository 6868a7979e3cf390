"""Who publishes a run folder: two who begin at once are kept apart, also on two hosts.

On one host a file lock orders publishers. Across hosts MLflow offers no lock and no compare-and-set, but a run is a
register that all can read, and runs have an order (start, then id). So each publisher writes its claim, looks,
writes that it started, and looks again:

- the first look gives way to anybody who started, and to an earlier claim;
- the second look gives way to an earlier claim, and waits while that one has neither started nor gone.

The later of two gets through its second look only where the earlier one had not yet claimed; then the earlier one's
first look finds it started, and gives way. Clocks may differ: any order that both see will do.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from immunocast.tracking.mlflow import PROCESS, RunHandle, Tracker
from immunocast.tracking.mlflow.tracker import PARENT

#: Tags by which a publication is found again, and by which it is known to be whole.
KEY, STATE = "publish_key", "published"
#: Tag with the id of the run folder, which an open run has from the start.
RUN_ID = "immunocast.run_id"
#: How often the second look is repeated while an earlier claim makes up its mind, and seconds between.
_LOOKS, _PAUSE = 20, 0.5


#: Why a run is taken back whose twin is the one that counts.
MADE_TWICE = "made twice, since the answer to the first call was lost"


class TakenError(Exception):
    """Another process, a living one as far as can be known, publishes the same folder."""


def claim(
    tracker: Tracker, key: str, name: str, handle: RunHandle | None = None, above: str | None = None
) -> RunHandle:
    """Open the parent run of a publication, or take the pipeline's own, unless somebody else is publishing.

    Parameters
    ----------
    tracker : the connection.
    key : identity of the publication.
    name : name of a new run.
    handle : the pipeline's open run; None opens one.
    above : the run below which a new run is put, a sweep's.

    Raises
    ------
    TakenError
        Where somebody else is at it; the claim is taken back, and so is a run that was opened for it.
    """
    mine = handle or tracker.start(name, {KEY: key}, above)
    if handle is not None:
        tracker.tag(handle.run_id, {KEY: key})
    who = _rival(tracker, key, mine.run_id, started=False)
    if who is None:
        tracker.tag(mine.run_id, {STATE: "started"})
        who = _rival(tracker, key, mine.run_id, started=True)
    if who is not None:
        tracker.untag(mine.run_id, [KEY, STATE])
        if handle is None:
            tracker.discard(mine.run_id, f"{who} publishes the same run folder")
        raise TakenError(f"{who} publishes this run at the moment, or just did.")
    return mine


def _rival(tracker: Tracker, key: str, mine: str, *, started: bool) -> str | None:
    """To whom a claim gives way, in words; None where it holds."""
    undecided = None
    for _ in range(_LOOKS):
        known = tracker.find({KEY: key})
        order, undecided = list(known), None
        for run_id, tags in known.items():
            if run_id == mine or tags.get(PARENT) in known:
                continue
            who = "another process" if tags.get(STATE) == "complete" else tracker.answering(run_id)
            if who is None:  # it failed, or is dead
                continue
            earlier = mine in order and order.index(run_id) < order.index(mine)
            if tags.get(STATE) == "complete" or (earlier if started else earlier or STATE in tags):
                if started and STATE not in tags:
                    undecided = who
                else:
                    return who
        if undecided is None:
            return None
        time.sleep(_PAUSE)
    return undecided


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


def left_open(tracker: Tracker, run_id: str) -> str | None:
    """The run that a pipeline opened for a run folder and could not fill: the store was gone, or it was killed.

    Returns
    -------
    MLflow's id, None where there is none.
    """
    return next((i for i, tags in tracker.find({RUN_ID: run_id}).items() if KEY not in tags), None)


def close_left(tracker: Tracker, known: Mapping[str, Mapping[str, str]], handle: RunHandle | None) -> None:
    """Close runs that are filled, but whose process was killed before it closed them; not the pipeline's own."""
    for run_id, tags in known.items():
        ours = handle is not None and handle.run_id == run_id
        if tags.get(STATE) == "complete" and PROCESS in tags and not ours and tracker.answering(run_id) is None:
            tracker.end(run_id)


def others(tracker: Tracker, key: str, ours: set[str]) -> list[str]:
    """Publications of the same folder that are not ours, after those were taken back that nobody will fill.

    A call whose answer was lost on the way is made again by MLflow's client, and then two runs exist where one was
    meant.

    Returns
    -------
    MLflow's ids of the other parents, oldest first.
    """
    found = []
    known = tracker.find({KEY: key})
    for run_id, tags in known.items():
        if run_id in ours:
            continue
        if tags.get(STATE) != "complete" and tracker.answering(run_id) is None:
            tracker.untag(run_id, [KEY])
            tracker.discard(run_id, MADE_TWICE)
        elif tags.get(PARENT) not in known:
            found.append(run_id)
    return found
