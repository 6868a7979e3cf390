"""Who is running: the identity of this process, its end by a signal, and locks between processes."""

from __future__ import annotations

import contextlib
import getpass
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

try:
    import fcntl
except ImportError:  # not on Windows: locks then do nothing, start one pipeline at a time
    fcntl = None  # type: ignore[assignment]


class Terminated(SystemExit):
    """The process was asked to end by SIGTERM; leaves with the exit code that shells expect, 143."""

    def __init__(self) -> None:
        super().__init__(128 + signal.SIGTERM)


def host() -> str:
    """Name of this machine."""
    return socket.gethostname()


def user() -> str:
    """Name of the user; containers run as users without one, who are told by their number."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return f"uid {os.getuid()}"


def process_start(pid: int) -> str | None:
    """When a process of this machine started, None where it is not alive.

    A pid is used again after a while, and after a reboot soon; boot id and start tick tell the processes
    apart. Where there is no /proc, a living process has the answer "unknown".
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        if Path("/proc/self/stat").exists():
            return None
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
        except PermissionError:
            pass
        return "unknown"
    # the command, in parentheses, may hold blanks: fields are counted after it
    fields = stat.rpartition(")")[2].split()
    state, ticks = fields[0], fields[19]
    return None if state in ("Z", "X") else f"{boot[:8]}-{ticks}"


def identity(pid: int | None = None) -> str:
    """Host, pid and start of a process (this one by default), separated by blanks."""
    pid = pid or os.getpid()
    return f"{host()} {pid} {process_start(pid)}"


def is_alive(identity: str) -> bool:
    """Whether the process of this host that had this identity is still running."""
    parts = identity.split()
    return len(parts) == 3 and parts[1].isdecimal() and process_start(int(parts[1])) == parts[2]


@contextlib.contextmanager
def sigterm_raises() -> Iterator[None]:
    """Let SIGTERM raise `Terminated` inside the block, so that clean-up runs; restored afterwards.

    Does nothing outside of the main thread, where Python cannot set handlers. A process forked inside the
    block ends at once, as it would without the handler.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    owner = os.getpid()

    def end(signum: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:
            os._exit(128 + signum)
        raise Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file; waits for whoever holds it. The file stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        if fcntl is not None:
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield  # closing the stream gives the lock back, also where the process dies


@contextlib.contextmanager
def try_lock(path: Path) -> Iterator[bool]:
    """As `file_lock`, and does not wait: False where somebody else holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        held = True
        if fcntl is not None:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                held = False
        yield held
