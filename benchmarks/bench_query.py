"""Questions over many runs: `immunocast.query` against the runs' artifacts read through the MLflow client with pandas.

100 run folders of 5,000 patients, made from one small run: its patients are repeated under other ids, and importances
are moved a little from run to run. The peer has the same tables as artifacts of MLflow runs (SQLite store, local
artifacts) and answers with pandas: once from all tables of every run, as who does not know the layout reads them, and
once from the one table that the question needs. It is timed on 5 of the runs and its seconds are multiplied by 20.
Answers on those runs must be equal.

    python benchmarks/run.py query [--rounds 5]
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _table import Row, Section, timed

import immunocast.query as q
from immunocast.store.runfolder import RunFolder

RUNS, PATIENTS, PEER_RUNS = 100, 5_000, 5
#: what an analyst asks, the table that it needs, and the same in pandas
IMPORTANCE = """
    select feature, count(*) as runs, avg(rank) as mean_rank, min(rank_low) as best, max(rank_high) as worst
    from importance where model = 'ridge' and kind = 'feature' and subgroup = 'all'
    group by feature order by mean_rank, feature
"""
CALIBRATION = """
    select run_id, cohort_id, count(*) as n, avg(p_response) as predicted, avg(y_true) as observed
    from predictions where model = 'ridge' and recalibration = 'none' and not in_training and not abstained
    group by run_id, cohort_id order by run_id, cohort_id
"""


def by_pandas_importance(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """`IMPORTANCE` in pandas."""
    table = tables["importance"]
    table = table[(table["model"] == "ridge") & (table["kind"] == "feature") & (table["subgroup"] == "all")]
    found = table.groupby("feature", as_index=False).agg(
        runs=("rank", "size"), mean_rank=("rank", "mean"), best=("rank_low", "min"), worst=("rank_high", "max")
    )
    return found.sort_values(["mean_rank", "feature"], ignore_index=True)


def by_pandas_calibration(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """`CALIBRATION` in pandas."""
    table = tables["predictions"]
    own = (table["model"] == "ridge") & (table["recalibration"] == "none")
    table = table[own & ~table["in_training"] & ~table["abstained"]]
    return table.groupby(["run_id", "cohort_id"], as_index=False).agg(
        n=("p_response", "size"), predicted=("p_response", "mean"), observed=("y_true", "mean")
    )


QUESTIONS: dict[str, tuple[str, str, Callable[[dict[str, pd.DataFrame]], pd.DataFrame]]] = {
    "rank of each feature over all runs": (IMPORTANCE, "importance", by_pandas_importance),
    "calibration by run and cohort, from patients": (CALIBRATION, "predictions", by_pandas_calibration),
}


def small_run(folder: Path) -> RunFolder:
    """One quick run of 300 synthetic patients."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "pipelines"))
    import run
    from immunocast.config import load_config

    cfg = load_config(["experiment=quick", "cohort=synthetic", f"paths.runs={folder}", "tracking=none"])
    work = RunFolder(folder / ".small.unfinished")
    for name in ("load", "train", "controls", "evaluate", "explain"):
        run.STAGES[name](cfg, work)
    return work


def generate(folder: Path, n_runs: int = RUNS, n_patients: int = PATIENTS) -> None:
    """Write the run folders."""
    small = small_run(folder)
    tables = {p.stem: pd.read_parquet(p) for p in sorted((small.path / "tables").iterdir())}
    n = tables["cohort"]["patient_id"].nunique()
    copies = -(-n_patients // n)
    for name, table in tables.items():
        if "patient_id" in table:
            parts = [table.assign(patient_id=table["patient_id"] + f"-{i}") for i in range(copies)]
            tables[name] = pd.concat(parts, ignore_index=True)
    manifest, rng = small.manifest(), np.random.default_rng(1)
    shutil.rmtree(small.path)
    first = RunFolder(folder / ".first")
    (first.path / "tables").mkdir(parents=True)
    for name, table in tables.items():
        table.to_parquet(first.table_path(name), index=False, compression="zstd")
    for i in range(n_runs):
        run = RunFolder(folder / f"2026{1 + i // 28:02d}{1 + i % 28:02d}T000000000Z-synthetic-{i:06d}")
        shutil.copytree(first.path, run.path)
        moved = tables["importance"].assign(mean_abs_shap=lambda t: t["mean_abs_shap"] * rng.uniform(0.8, 1.2, len(t)))
        keys = ["model", "subgroup", "level", "kind"]
        moved["rank"] = moved.groupby(keys)["mean_abs_shap"].rank(ascending=False, method="first").astype("int64")
        moved.to_parquet(run.table_path("importance"), index=False, compression="zstd")
        run.update_manifest(**manifest, run_id=run.path.name)
    shutil.rmtree(first.path)


def publish(runs_dir: Path, folder: Path, n_runs: int) -> Any:
    """The tables of the first runs as artifacts of MLflow runs; returns the client."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiment = client.create_experiment("bench", artifact_location=(folder / "artifacts").as_uri())
    for path in sorted(p for p in runs_dir.iterdir() if not p.name.startswith("."))[:n_runs]:
        run = client.create_run(experiment, tags={"run_id": path.name})
        client.log_artifacts(run.info.run_id, str(path / "tables"), "tables")
        client.set_terminated(run.info.run_id)
    return client


def through_mlflow(client: Any, tables: list[str] | None) -> dict[str, pd.DataFrame]:
    """All tables of all runs, or some of them, with the run's id."""
    experiment = client.get_experiment_by_name("bench")
    parts: dict[str, list[pd.DataFrame]] = {}
    for run in client.search_runs([experiment.experiment_id]):
        for artifact in client.list_artifacts(run.info.run_id, "tables"):
            name = Path(artifact.path).stem
            if tables is None or name in tables:
                frame = pd.read_parquet(client.download_artifacts(run.info.run_id, artifact.path))
                parts.setdefault(name, []).append(frame.assign(run_id=run.data.tags["run_id"]))
    return {name: pd.concat(frames, ignore_index=True) for name, frames in parts.items()}


def section(rounds: int) -> Section:
    """Time the questions both ways."""
    os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR="false")
    rows, notes = [], []
    with tempfile.TemporaryDirectory() as temporary:
        runs_dir, store = Path(temporary) / "runs", Path(temporary) / "store"
        store.mkdir()
        generate(runs_dir)
        client = publish(runs_dir, store, PEER_RUNS)
        some = sorted(p.name for p in runs_dir.iterdir())[:PEER_RUNS]
        for what, (statement, table, in_pandas) in QUESTIONS.items():
            ours = in_pandas(through_mlflow(client, [table])), q.sql(statement, runs_dir=runs_dir, run=some)
            difference = _difference(*ours)
            if difference > 1e-9:
                sys.exit(f"{what}: the answers differ by {difference:g}, there is nothing to compare.")
            q.sql(statement, runs_dir=runs_dir)  # warm
            times: dict[str, list[float]] = {"ours": [], "wall": [], "all": [], "one": []}
            for _ in range(rounds):
                start = time.perf_counter()
                times["ours"].append(timed(lambda s=statement: q.sql(s, runs_dir=runs_dir))[1])
                times["wall"].append(time.perf_counter() - start)
                for key, tables in (("all", None), ("one", [table])):
                    used = timed(lambda t=tables, f=in_pandas: f(through_mlflow(client, t)))[1]
                    times[key].append(used * RUNS / PEER_RUNS)
            for key, words in (("all", "MLflow client + pandas, all tables"), ("one", f"the same, {table} alone")):
                rows.append(Row(what, "query.sql", words, times["ours"], times[key], difference))
            notes.append(
                f"{what}: {sorted(times['wall'])[rounds // 2]:.2f} s on the clock for {RUNS} runs, warm; best "
                f"{min(times['wall']):.2f} s."
            )
        size = sum(p.stat().st_size for p in runs_dir.rglob("*.parquet")) / 2**20
    notes.append(f"{RUNS} runs of {PATIENTS:,} patients, {size:,.0f} MiB of Parquet; MLflow on {PEER_RUNS}, scaled.")
    return Section("Questions over many runs", __doc__.split("\n\n")[1], rows, ("duckdb", "pyarrow", "pandas"), notes)


def _difference(a: pd.DataFrame, b: pd.DataFrame) -> float:
    """Largest difference of two answers; infinite where texts or shapes differ."""
    if a.shape != b.shape or any((a[c].to_numpy() != b[c].to_numpy()).any() for c in a if a[c].dtype.kind not in "if"):
        return float("inf")
    numbers = [c for c in a if a[c].dtype.kind in "if"]
    return float(np.abs(a[numbers].to_numpy(float) - b[numbers].to_numpy(float)).max())
