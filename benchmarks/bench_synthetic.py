"""A million synthetic patients: immunocast against the naive way, a Gaussian copula by scipy.

The peer draws the whole matrix with `scipy.stats.multivariate_normal`, takes it through `norm.cdf` and then every
margin through its `ppf`, type by type where margins differ, as one would write it from a table of figures. It is run
twice: with as many columns as immunocast's cohort table (which flatters the peer: immunocast draws the truth, too),
and with as many as cohort and truth together. Each run is a process of its own, one thread, so that its peak of
memory is its own; imports are not timed. Ratios are to immunocast in blocks, unwritten as the peer; a row more says
what writing both tables to Parquet adds. Seconds are processor time, so that what else runs on the machine counts
little.

    python benchmarks/bench_synthetic.py [--patients 1000000] [--rounds 3] [--block 50000]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from _memory import peak_mib

TYPES = 16
# families of margins in turn, about as often as immunocast's cohort table has them
_COUNTS = {"norm": 8, "lognorm": 4, "beta": 3, "bernoulli": 12, "category": 11, "weibull": 3, "poisson": 1}
FAMILIES = [family for family, count in _COUNTS.items() for _ in range(count)]


def ours(n: int, block: int) -> dict[str, float]:
    """Generate in blocks and write cohort and truth to Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from immunocast.cohort.synthetic import SyntheticCohort

    SyntheticCohort(n_patients=30).load()  # imports, and what is solved once a process
    start = time.process_time()
    written = 0
    with tempfile.TemporaryDirectory() as folder:
        writers: dict[str, pq.ParquetWriter] = {}
        for tables in SyntheticCohort(n_patients=n).blocks(block):
            for name, frame in (("cohort", tables.cohort), ("truth", tables.truth)):
                table = pa.Table.from_pandas(frame, preserve_index=False)
                if name not in writers:
                    writers[name] = pq.ParquetWriter(Path(folder) / f"{name}.parquet", table.schema)
                writers[name].write_table(table)
            written += len(tables.cohort)
        columns = sum(len(w.schema) for w in writers.values())
        for writer in writers.values():
            writer.close()
    assert written == n
    return {"seconds": time.process_time() - start, "columns": columns}


def ours_unwritten(n: int, block: int) -> dict[str, float]:
    """Generate in blocks and write nothing."""
    from immunocast.cohort.synthetic import SyntheticCohort

    SyntheticCohort(n_patients=30).load()
    start = time.process_time()
    for tables in SyntheticCohort(n_patients=n).blocks(block):
        columns = tables.cohort.shape[1] + tables.truth.shape[1]
    return {"seconds": time.process_time() - start, "columns": columns}


def ours_whole(n: int, block: int) -> dict[str, float]:
    """Generate as two frames in memory."""
    from immunocast.cohort.synthetic import SyntheticCohort

    SyntheticCohort(n_patients=30).load()
    start = time.process_time()
    tables = SyntheticCohort(n_patients=n).load()
    return {"seconds": time.process_time() - start, "columns": tables.cohort.shape[1] + tables.truth.shape[1]}


def naive(n: int, columns: int) -> dict[str, float]:
    """A Gaussian copula by scipy.stats."""
    import numpy as np
    import pandas as pd
    from scipy import stats

    rng = np.random.default_rng(0)
    loadings = rng.uniform(-0.5, 0.5, columns)
    correlation = np.outer(loadings, loadings)
    np.fill_diagonal(correlation, 1.0)
    shares = rng.dirichlet(np.full(TYPES, 2.0))
    start = time.process_time()
    kind = rng.choice(TYPES, n, p=shares)
    z = stats.multivariate_normal(np.zeros(columns), correlation).rvs(n, random_state=rng)
    u = stats.norm.cdf(z)
    out = {"patient_id": [f"naive-{k:07d}" for k in range(n)]}
    for k in range(columns - 1):
        family, draws = FAMILIES[k % len(FAMILIES)], u[:, k]
        values = np.empty(n)
        if family in ("lognorm", "weibull"):  # margins that differ by type
            for t in range(TYPES):
                mine = kind == t
                if family == "lognorm":
                    values[mine] = stats.lognorm.ppf(draws[mine], 0.7 + t / 20, scale=np.exp(1 + t / 20))
                else:
                    values[mine] = stats.weibull_min.ppf(draws[mine], 0.9 + t / 50, scale=5 + t)
        elif family == "norm":
            values = stats.norm.ppf(draws, 3.85, 0.47)
        elif family == "beta":
            values = stats.beta.ppf(draws, 0.58, 2.25)
        elif family == "poisson":
            values = stats.poisson.ppf(draws, 6.0)
        elif family == "bernoulli":
            values = stats.bernoulli.ppf(draws, 0.3)
        else:
            values = np.array(["a", "b", "c"])[np.digitize(draws, [0.3, 0.7])]
        out[f"column_{k}"] = values
    frame = pd.DataFrame(out)
    return {"seconds": time.process_time() - start, "columns": frame.shape[1]}


def child(what: str, n: int, size: int) -> None:
    """Run one side and print its figures as JSON."""
    figures = {"ours": ours, "blocks": ours_unwritten, "whole": ours_whole, "naive": naive}[what](n, size)
    peak = peak_mib()
    print(json.dumps({**figures, "peak_mib": peak}))


def measure(what: str, n: int, size: int) -> dict[str, float]:
    """Figures of one run in a fresh process."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, __file__, "--child", what, "--patients", str(n), "--block", str(size)]
    return json.loads(subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout)


def processor() -> str:
    """Name of the processor, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "unknown processor"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--block", type=int, default=50_000)
    parser.add_argument("--child", choices=["ours", "blocks", "whole", "naive"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args.child, args.patients, args.block)
        return
    print(f"machine   {processor()}, {os.cpu_count()} cores, one thread used")
    print("versions  " + ", ".join(f"{m} {version(m)}" for m in ("immunocast", "numpy", "scipy", "pandas")))
    print(f"          {args.patients:,} patients, median of {args.rounds} processes each\n")
    columns = int(measure("whole", 1000, 0)["columns"])
    sides = {
        f"immunocast, blocks of {args.block:,} to Parquet": ("ours", args.block),
        f"immunocast, blocks of {args.block:,}": ("blocks", args.block),
        "immunocast, whole in memory": ("whole", 0),
        "scipy copula, as many columns as the cohort": ("naive", 43),
        "scipy copula, as many as cohort and truth": ("naive", columns),
    }
    # rounds go round the sides, so that a busy minute of the machine hits all of them
    runs = [[measure(what, args.patients, size) for what, size in sides.values()] for _ in range(args.rounds)]
    medians = [
        {key: statistics.median(run[side][key] for run in runs) for key in runs[0][side]} for side in range(len(sides))
    ]
    ours_ = medians[1]  # neither side writes
    print("| who | columns | processor s | times ours | peak MiB | times ours |\n|---|---|---|---|---|---|")
    for name, r in zip(sides, medians, strict=True):
        time_ratio, memory_ratio = r["seconds"] / ours_["seconds"], r["peak_mib"] / ours_["peak_mib"]
        print(
            f"| {name} | {r['columns']:.0f} | {r['seconds']:.1f} | {time_ratio:.1f}x | {r['peak_mib']:,.0f} | "
            f"{memory_ratio:.1f}x |"
        )


if __name__ == "__main__":
    main()
