"""Jobs without a pipeline: a script of the standard library that leaves what a run leaves, and tiny run folders."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from immunocast.store.runfolder import RunFolder
from immunocast.sweep.folder import SweepFolder
from immunocast.sweep.runner import Launch

#: Writes `runs/<number>-<n>/manifest.json`, and into `calls` that it was called; words make it sleep, fail or die.
SCRIPT = """
import json, os, pathlib, signal, sys, time
job = json.loads(os.environ["IMMUNOCAST_SWEEP_JOB"])
words = dict(w.split("=", 1) for w in sys.argv[1:])
here = pathlib.Path(job["folder"])
runs = pathlib.Path("runs").absolute()
number = job["number"]
with open("calls", "a") as stream:
    stream.write(f"{number}\\n")
run_id = f"run{number}"
stat = pathlib.Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
who = f"{os.uname().nodename} {os.getpid()} {boot}-{stat}"
started = {"run_id": run_id, "runs": str(runs), "process": who}
(here / "jobs" / f"{number:03d}.started.json").write_text(json.dumps(started))
half = runs / f".{run_id}.unfinished"
half.mkdir(parents=True, exist_ok=True)
print("cores", os.environ.get("LOKY_MAX_CPU_COUNT"), os.environ.get("OMP_NUM_THREADS"), flush=True)
if words.get("sleep"):
    time.sleep(float(words["sleep"]))
if words.get("die"):
    os.kill(os.getpid(), signal.SIGKILL)
if words.get("fail"):
    sys.exit("ConfigError: " + words["fail"])
(half / "manifest.json").write_text(json.dumps({"run_id": run_id}))
half.rename(runs / run_id)
if words.get("late"):
    sys.exit("the server is gone")
"""


class Heard:
    """A watcher that remembers."""

    def __init__(self):
        self.begun, self.ends, self.most = [], [], 0

    def started(self, state):
        self.begun.append(state.number)

    def ended(self, state):
        self.ends.append((state.number, state.status))

    def look(self, running):
        self.most = max(self.most, len(running))


@pytest.fixture
def heard():
    return Heard()


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """(folder, launch(workers), calls()) of a sweep whose jobs are the script."""
    monkeypatch.chdir(tmp_path)
    script = tmp_path / "job.py"
    script.write_text(SCRIPT)
    folder = SweepFolder(tmp_path / "sweeps" / "demo")
    (folder.path / "jobs").mkdir(parents=True)

    def launch(workers=1):
        return Launch((sys.executable, "-S", str(script)), workers, 4, None)

    def calls():
        path = Path("calls")
        return [int(n) for n in path.read_text().split()] if path.is_file() else []

    return folder, launch, calls


def tiny_run(path, *, auroc=0.7, scheme="repeated_kfold", endpoint="response", digest="ab" * 32, synthetic=True):
    """A run folder with a manifest, an AUROC, a Brier score, and a difference: what a sweep reads of a run."""
    run = RunFolder(path)
    shared = dict(
        model="ridge",
        recalibration="none",
        scheme=scheme,
        endpoint=endpoint,
        cohort_id="combined",
        subgroup="all",
        level="all",
        threshold_or_horizon=np.nan,
        n=200,
        n_events=80,
        ci_method="bootstrap",
        note="",
    )
    rows = [
        shared | dict(metric=metric, n_abstained=0, estimate=value, ci_low=value - 0.05, ci_high=value + 0.05)
        for metric, value in (("auroc", auroc), ("brier", 0.2), ("calibration_slope", 0.9))
    ]
    run.write_table("metrics", pd.DataFrame(rows))
    kept = {k: v for k, v in shared.items() if k not in ("n", "recalibration")}
    compared = kept | dict(
        metric="auroc",
        reference_model="loris_routed",
        n_common=190,
        n_lost=10,
        p_adjusted=None,
        family="",
        estimate_model=auroc,
        estimate_reference=auroc - 0.02,
        difference=0.02,
        ci_low=-0.01,
        ci_high=0.05,
        p=0.2,
    )
    run.write_table("comparisons", pd.DataFrame([compared]))
    run.update_manifest(
        run_id=path.name,
        created="2026-11-01T10:00:00+00:00",
        endpoint=endpoint,
        scheme=scheme,
        headline_model="ridge",
        reference_model="loris_routed",
        models={},
        provenance=dict(name="demo", synthetic=synthetic, digest=digest),
    )
    return run


@pytest.fixture(scope="session")
def make_tiny_run():
    return tiny_run
