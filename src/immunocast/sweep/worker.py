"""What the process of a job tells its sweep: who it is, which run it makes, and why it failed.

The sweep names itself in an environment variable, so that a job's command line is the one that anybody would type.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

#: Environment variable that holds a `SweepJob` as JSON.
VARIABLE = "IMMUNOCAST_SWEEP_JOB"


@dataclass(frozen=True)
class SweepJob:
    """The job that this process is.

    Attributes
    ----------
    folder : of the sweep.
    number : of the job.
    settings : what the job sets, by name.
    parent : MLflow's id of the sweep's run, None where nothing is tracked.
    """

    folder: str
    number: int
    settings: Mapping[str, str]
    parent: str | None = None

    def environment(self) -> dict[str, str]:
        """The variable that makes a process this job."""
        return {VARIABLE: json.dumps(asdict(self))}

    @property
    def sweep_id(self) -> str:
        """The sweep's id."""
        return Path(self.folder).name

    def about(self) -> dict[str, Any]:
        """What the run folder keeps of it."""
        return {"sweep_id": self.sweep_id, "job": self.number, "settings": dict(self.settings)}

    def started(self, run_id: str, runs: Path) -> None:
        """Note which run this process makes, before it makes it."""
        from immunocast.sweep.folder import SweepFolder, write_json
        from immunocast.tracking import process

        path = SweepFolder(Path(self.folder)).started_path(self.number)
        write_json(path, {"run_id": run_id, "runs": str(runs.absolute()), "process": process.identity()})

    @contextlib.contextmanager
    def reported(self, words: Sequence[str] = ()) -> Iterator[None]:
        """Write why the block failed into the sweep's error file; the exception goes on."""
        try:
            yield
        except (KeyboardInterrupt, SystemExit):  # stopped, not failed
            raise
        except BaseException as error:
            from immunocast.sweep.folder import SweepFolder

            path = SweepFolder(Path(self.folder)).error_path(self.number)
            path.parent.mkdir(parents=True, exist_ok=True)
            said = f"{type(error).__name__}: {error}".strip()
            path.write_text(
                f"{said}\n\nSettings of the job: {' '.join(words)}\n\n{''.join(traceback.format_exception(error))}",
                encoding="utf-8",
            )
            raise


def current_job() -> SweepJob | None:
    """The job that this process is, None outside of a sweep."""
    text = os.environ.get(VARIABLE)
    return SweepJob(**json.loads(text)) if text else None


def end_with_the_sweep() -> None:
    """Let this process get a SIGTERM, and so clean up, when its sweep is gone, however that died.

    The sweep holds the other end of this process's standard input, which a thread of its own reads.
    """

    def watch() -> None:
        # not sys.stdin: a thread that waits inside its lock would break the interpreter's end
        while os.read(0, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True, name="sweep").start()
