"""What the terminal shows, and how sweeps stand."""

import io
import json

import pytest
from rich.console import Console

from immunocast.errors import NotFoundError
from immunocast.sweep.folder import DONE, FAILED, JobState, SweepFolder
from immunocast.sweep.overview import jobs_table, sweeps_table
from immunocast.sweep.progress import SweepProgress
from immunocast.tracking import process


def job(number, **more):
    return JobState(number, f"d{number}", (), {"features": f"f{number}"}, **more)


@pytest.fixture
def folder(tmp_path):
    made = SweepFolder(tmp_path / "sweeps" / "features-12ab")
    made.write_about(sweep_id="features-12ab", kind="grid", created="2026-11-01T10:00:00+00:00")
    return made


def test_without_a_terminal_each_job_is_a_line(folder):
    out = io.StringIO()
    before = [job(1, status=DONE, seconds=20.0)]
    with SweepProgress(Console(file=out), folder, 4, 2, before) as progress:
        for number in (2, 3):
            progress.started(job(number))
        progress.look({2: 5.0, 3: 5.0})
        progress.ended(job(2, status=DONE, seconds=40.0))
        progress.ended(job(3, status=FAILED, seconds=3.0, exit_code=2, error="ConfigError: [no]"))
    # mean 30 s; the running one has 25 s to go and the waiting one 30 s, on two workers
    assert out.getvalue().splitlines() == [
        "[2/4] job 2 done   features=f2  40 s; 28 s left",
        "[3/4] job 3 failed features=f3  3 s; 30 s left",
        "  ConfigError: [no]",
    ]


def test_in_a_terminal_what_runs_is_shown_with_its_last_line(folder):
    folder.log_path(2).parent.mkdir(parents=True)
    folder.log_path(2).write_text("load      1.2 s\ntrain    11.0 s\n\n")
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100, color_system=None)
    with SweepProgress(console, folder, 4, 2, []) as progress:
        progress.started(job(2))
        progress.look({2: 12.0})
        progress._live.refresh()
    shown = out.getvalue()
    assert "0 of 4 jobs" in shown
    assert "not known before the first job ends" in shown
    assert "job 2 features=f2  12 s  train    11.0 s" in shown


def test_how_sweeps_stand(folder):
    folder.write_state(job(1, status=DONE, seconds=3.0, run="/x/run1"))
    folder.write_state(job(2, status=FAILED, error="ConfigError: no"))
    folder.write_state(job(3))
    alive = {"run_id": "r3", "runs": "runs", "process": process.identity()}
    folder.started_path(3).write_text(json.dumps(alive))
    sweeps = folder.path.parent
    assert sweeps_table(sweeps).to_dict("records") == [
        dict(sweep="features-12ab", created="2026-11-01 10:00", kind="grid", jobs=3, done=1, failed=1, running=1)
    ]
    jobs = jobs_table(sweeps, "features")
    assert jobs["status"].tolist() == ["done", "failed", "running"]
    assert jobs["run"].tolist() == ["run1", "", ""]
    assert jobs_table(sweeps, "latest").equals(jobs)
    with pytest.raises(NotFoundError, match="features-12ab"):
        jobs_table(sweeps, "nosuch")
    with pytest.raises(NotFoundError, match="no sweep in"):
        jobs_table(sweeps / "elsewhere", "latest")
