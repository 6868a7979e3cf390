"""Jobs as processes: side by side, failing alone, killed, stopped and gone on with."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from immunocast.errors import ConfigError
from immunocast.sweep.folder import DONE, FAILED, STOPPED, WAITING, JobState, SweepFolder, find_folder
from immunocast.sweep.runner import run_jobs, wait_for_former
from immunocast.tracking import process


def state(number, *words, **more):
    pairs = dict(w.split("=", 1) for w in words)
    return JobState(number, f"digest{number}", tuple(words), pairs, **more)


def test_all_jobs_run_so_many_at_a_time_and_keep_their_order(sweep, heard):
    folder, launch, calls = sweep
    states = run_jobs([state(n, "sleep=0.3") for n in (1, 2, 3)], folder, launch(2), heard)
    assert [s.status for s in states] == [DONE] * 3
    assert sorted(calls()) == [1, 2, 3]
    assert heard.most == 2
    assert folder.states() == states
    assert all(s.run_folder is not None for s in states)


def test_each_worker_has_its_share_of_the_cores(sweep, heard, monkeypatch):
    folder, launch, _ = sweep
    for name in ("OMP_NUM_THREADS", "LOKY_MAX_CPU_COUNT"):
        monkeypatch.delenv(name, raising=False)
    run_jobs([state(1)], folder, launch(2), heard)
    assert folder.log_path(1).read_text().startswith("cores 2 2")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    run_jobs([state(2)], folder, launch(2), heard)
    assert folder.log_path(2).read_text().startswith("cores 2 1")
    run_jobs([state(3)], folder, launch(1), heard)
    assert folder.log_path(3).read_text().startswith("cores None 1")


def test_a_failing_job_stops_no_other_and_says_why(sweep, heard, monkeypatch):
    folder, launch, _ = sweep
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    one, two, three = run_jobs([state(1, "fail=no such column"), state(2, "die=1"), state(3)], folder, launch(), heard)
    assert (one.status, one.exit_code, one.error) == (FAILED, 1, "cores None 1 ConfigError: no such column")
    assert (two.status, two.exit_code) == (FAILED, -9)
    assert "SIGKILL" in two.error
    assert "memory" in two.error
    assert three.status == DONE
    assert "Settings of the job: fail=no such column" in folder.error_path(1).read_text()
    assert not list(Path("runs").glob(".*")), "half-made run folders are thrown away"


def test_a_job_that_fails_after_its_results_are_whole_is_done_and_told(sweep, heard):
    folder, launch, _ = sweep
    (one,) = run_jobs([state(1, "late=1")], folder, launch(), heard)
    assert one.status == DONE
    assert "the server is gone" in one.error


def test_what_is_done_is_not_done_again_and_what_failed_is(sweep, heard):
    folder, launch, calls = sweep
    states = run_jobs([state(1), state(2, "fail=x")], folder, launch(), heard)
    again = run_jobs([states[0], replace(states[1], words=())], folder, launch(), heard)
    assert [s.status for s in again] == [DONE, DONE]
    assert calls() == [1, 2, 2]
    assert not folder.error_path(2).exists(), "the error of the first time is gone"


def test_a_run_that_nobody_noted_counts_and_a_half_made_one_is_thrown_away(sweep, heard):
    """The sweep was killed: one job had sealed its run, another was in the middle."""
    folder, launch, calls = sweep
    run_jobs([state(1)], folder, launch(), heard)
    half = Path("runs/.run2.unfinished").absolute()
    half.mkdir()
    gone = {"run_id": "run2", "runs": str(half.parent), "process": "nohost 1 x"}
    folder.started_path(2).write_text(json.dumps(gone))
    settled = [folder.settle(state(1)), folder.settle(state(2))]
    assert [s.status for s in settled] == [DONE, WAITING]
    assert not half.exists()
    run_jobs(settled, folder, launch(), heard)
    assert calls() == [1, 2]


def test_a_done_job_whose_run_folder_was_removed_is_done_again(sweep, heard):
    folder, launch, _ = sweep
    (one,) = run_jobs([state(1)], folder, launch(), heard)
    (Path(one.run) / "manifest.json").unlink()
    Path(one.run).rmdir()
    assert folder.settle(one).status == WAITING


@pytest.mark.parametrize(("sign", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, process.Terminated)])
def test_a_stop_is_handed_on_and_noted(sweep, heard, sign, error):
    folder, launch, calls = sweep

    def stop():
        while not list((folder.path / "jobs").glob("*.started.json")):
            time.sleep(0.02)
        os.kill(os.getpid(), sign)

    threading.Thread(target=stop).start()
    with pytest.raises(error):
        run_jobs([state(1, "sleep=60"), state(2)], folder, launch(), heard)
    (kept,) = folder.states()
    assert kept.status == STOPPED
    assert calls() == [1]
    assert folder.still_running(1) is None
    assert not list(Path("runs").glob(".*"))


def test_a_job_that_an_earlier_call_left_behind_is_waited_for(sweep, monkeypatch):
    folder, _, _ = sweep
    monkeypatch.setattr("immunocast.sweep.runner._PATIENCE", 0.3)
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as left:
        who = {"run_id": "run1", "runs": "runs", "process": process.identity(left.pid)}
        folder.started_path(1).write_text(json.dumps(who))
        with pytest.raises(ConfigError, match=f"still running in process {left.pid}"):
            wait_for_former(folder, state(1))
        left.kill()
    wait_for_former(folder, state(1))


def test_two_of_the_same_sweep_do_not_run_at_once(sweep):
    folder, _, _ = sweep
    with folder.alone(), pytest.raises(ConfigError, match="another process"), SweepFolder(folder.path).alone():
        pass
    with folder.alone():  # and it is free again
        pass


def test_a_fresh_sweep_has_a_folder_of_its_own(tmp_path):
    def name(fresh):
        return find_folder(tmp_path, "features x seed", "12ab", fresh=fresh).sweep_id

    assert name(False) == name(True) == "features_x_seed-12ab"
    (tmp_path / "features_x_seed-12ab").mkdir()
    assert name(False) == "features_x_seed-12ab"
    assert name(True) == "features_x_seed-12ab-2"
    (tmp_path / "features_x_seed-12ab-2").mkdir()
    assert name(False) == "features_x_seed-12ab-2"


def test_a_state_file_that_was_damaged_is_named(sweep):
    folder, _, _ = sweep
    (folder.path / "jobs" / "001.json").write_text("{")
    with pytest.raises(ConfigError, match=r"001\.json cannot be read. Remove it"):
        folder.states()
