"""Publishing in a process of its own that can be killed at any call, or play another host."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path
from typing import Any

from immunocast.errors import PublishError
from immunocast.store.runfolder import RunFolder
from immunocast.tracking import process
from immunocast.tracking.mlflow import Tracker
from immunocast.tracking.publish import publish


class Counting:
    """A client that counts its calls, and kills the process before the call with a certain number."""

    def __init__(self, client: Any, kill_at: int):
        self.client, self.kill_at, self.calls = client, kill_at, 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.client, name)
        if not callable(found):
            return found

        def call(*args: Any, **more: Any) -> Any:
            self.calls += 1
            if self.calls == self.kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return found(*args, **more)

        return call


def publish_here(
    uri: str,
    experiment: str,
    folder: Path,
    answers: Any,
    env: dict[str, str],
    *,
    kill_at: int = 0,
    host: str = "",
    ready: Any = None,
) -> None:
    """Publish a folder, and put (message, number of calls) or (error, 0) into `answers`.

    Parameters
    ----------
    uri, experiment, folder : what goes where.
    answers : a queue.
    env : who is signed in: a process of a fork server has the environment of whoever started that server.
    kill_at : number of the call before which the process is killed; 0 for none.
    host : another name for this host, with locks of its own; "" for the real one.
    ready : a barrier to wait at, once connected.
    """
    os.environ.update(env)
    if host:
        process.host = lambda: host
        tempfile.tempdir = tempfile.mkdtemp(prefix=host)
    tracker = Tracker(uri, experiment)
    _ = tracker.experiment_id
    counting = Counting(tracker.client, kill_at)
    tracker.__dict__["client"] = counting
    if ready is not None:
        ready.wait(120)
    try:
        published = publish(RunFolder(folder), tracker)
        answers.put((published.message(), counting.calls))
    except PublishError as error:
        answers.put((str(error), 0))
