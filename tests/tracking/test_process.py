from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from immunocast.tracking.process import Terminated, file_lock, identity, is_alive, sigterm_raises


def test_this_process_is_alive_and_a_dead_one_is_not():
    assert is_alive(identity())
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    who = identity(child.pid)
    assert is_alive(who)
    child.kill()
    child.wait()
    child.stdin.close()
    assert not is_alive(who)


def test_a_reused_pid_is_another_process():
    host, pid, start = identity().split()
    assert not is_alive(f"{host} {pid} {start}1")


@pytest.mark.parametrize("text", ["", "host", "host x y", "host 1 2 3"])
def test_an_unreadable_identity_is_not_alive(text):
    assert not is_alive(text)


def test_sigterm_raises_inside_and_is_restored():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Terminated) as caught, sigterm_raises():  # noqa: PT012
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
    assert caught.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is before


def test_other_threads_are_left_alone():
    seen = []

    def work():
        with sigterm_raises():
            seen.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


def test_lock_excludes_another_process(tmp_path):
    code = (
        "import sys, pathlib; from immunocast.tracking.process import file_lock\n"
        "print('start', flush=True)\n"
        "with file_lock(pathlib.Path(sys.argv[1])): print('inside', flush=True)"
    )
    with file_lock(tmp_path / "x.lock"):
        child = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "x.lock")], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout.readline() == "start\n"
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(timeout=0.5)
    assert child.communicate(timeout=20)[0] == "inside\n"
