"""What tracking costs: a whole run published to MLflow, against the run itself and against logging one by one.

The run is the default one on 3,200 synthetic patients in eight cohorts: all its models, metrics with intervals for each
cohort and subgroup, figures, tables, report and models. It is made once and published several times to SQLite, each
time under another id. The peer of the first row is the run's own stages, of the second MLflow's `log_metric`, a call a
number, timed on 300 of the numbers and scaled; both write the same values. Seconds are of the clock on the wall, since
a store makes one wait.

    python benchmarks/run.py tracking [--rounds 3]
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from _table import Row, Section

from immunocast.store.runfolder import RunFolder

SETTINGS = ["cohort=synthetic", "cohort.n_patients=3200", "cohort.n_cohorts=8", "tracking=none"]
SAMPLE = 300


def whole_run(folder: Path) -> tuple[RunFolder, float]:
    """The run, sealed, and its seconds."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "pipelines"))
    import report
    import run
    from immunocast.config import load_config

    cfg = load_config([*SETTINGS, f"paths.runs={folder}"])
    work = RunFolder(folder / ".whole.unfinished")
    start = time.perf_counter()
    for stage in run.STAGES.values():
        stage(cfg, work)
    report.run(cfg, work, "whole")
    return work.seal(folder / "whole"), time.perf_counter() - start


def again(run: RunFolder, name: str) -> RunFolder:
    """The same run under another id, so that it is published anew."""
    copy = RunFolder(Path(shutil.copytree(run.path, run.path.with_name(name))))
    copy.write_meta("report", **{**copy.read_json("meta/report.json"), "run_id": name})
    copy.update_manifest(run_id=name)
    return copy


def one_by_one(tracker: Any, numbers: list[Any], now: int) -> tuple[str, float]:
    """Log numbers by a call each, the same time stamp as ours; MLflow's id of the run and the seconds."""
    handle = tracker.start("one by one", {})
    start = time.perf_counter()
    for record in numbers:
        tracker.client.log_metric(
            handle.run_id, record.key, record.value, timestamp=now, step=getattr(record, "step", 0)
        )
    seconds = time.perf_counter() - start
    tracker.end(handle.run_id)
    return handle.run_id, seconds


def connect_seconds(folder: Path) -> tuple[float, float]:
    """Seconds to import MLflow and connect, in fresh processes: a new SQLite file, and one that exists."""
    code = (
        "import sys; from immunocast.tracking.mlflow import Tracker; "
        "print(Tracker('sqlite:///' + sys.argv[1]).experiment_id)"
    )
    found = []
    for _ in "12":
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code, str(folder / "fresh.db")], check=True, stdout=subprocess.DEVNULL)
        found.append(time.perf_counter() - start)
    return found[0], found[1]


def section(rounds: int) -> Section:
    """Time both, and count what was logged."""
    from immunocast.tracking import records as rec
    from immunocast.tracking.mlflow import Tracker
    from immunocast.tracking.mlflow.log import log
    from immunocast.tracking.publish import publish

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        run, run_s = whole_run(folder / "runs")
        tracker = Tracker(f"sqlite:///{folder / 'mlflow.db'}")
        publish(again(run, "warm"), tracker)
        # of all models, under keys that differ; points of curves left out, of which MLflow tells the last one only
        found = {
            f"{model}: {record.key}": record
            for model in run.manifest()["models"]
            for record in rec.model_records(run, model)
            if isinstance(record, rec.Metric) and not record.key.startswith("Curves/")
        }
        numbers = [replace(record, key=key) for key, record in found.items()]
        now = 1_700_000_000_000
        times: dict[str, list[float]] = {"publish": [], "batched": [], "single": []}
        difference = 0.0
        for i in range(rounds):
            copy = again(run, f"copy-{i}")
            start = time.perf_counter()
            published = publish(copy, tracker)
            times["publish"].append(time.perf_counter() - start)
            handle = tracker.start("batched", {})
            start = time.perf_counter()
            log(tracker, handle.run_id, numbers, now)
            times["batched"].append(time.perf_counter() - start)
            tracker.end(handle.run_id)
            single, seconds = one_by_one(tracker, numbers[:SAMPLE], now)
            times["single"].append(seconds * len(numbers) / SAMPLE)
            ours = tracker.client.get_run(handle.run_id).data.metrics
            for key, value in tracker.client.get_run(single).data.metrics.items():
                difference = max(difference, abs(value - ours[key]) / max(1.0, abs(value)))
        if difference > 1e-5:
            sys.exit(f"The two ways logged values that differ by {difference:g}: there is nothing to compare.")
        fresh, known = connect_seconds(folder)
        children = [tracker.client.get_run(i) for i in published.model_runs.values()]
        points = sum(len(child.data.metrics) for child in children)
        figures = len(list((run.path / "figures").glob("*.png")))
        tables = len(list((run.path / "tables").glob("*.parquet")))
    rows = [
        Row("a whole run, wall", "publish", "its own stages", times["publish"], [run_s] * rounds, 0.0, target=10),
        Row(f"{len(numbers):,} numbers, wall", "tracking.log", "log_metric", times["batched"], times["single"],
            difference),
    ]  # fmt: skip
    share = sorted(times["publish"])[rounds // 2] / run_s
    notes = [
        f"Published: {len(children)} models, {points:,} metrics on their pages, {figures} figures, {tables} tables. "
        f"Publishing takes {100 * share:.1f} % of the run's own {run_s:.0f} s.",
        f"Before that, once a process: import and connection, {known:.1f} s ({fresh:.1f} s with a new SQLite file).",
        "Values are logged with six significant digits; the tables keep full precision.",
    ]
    about = __doc__.split("\n\n")[1].replace("\n", " ")
    return Section("Tracking", about, rows, ("mlflow", "sqlalchemy"), notes)
