"""A matrix of 20,000 genes by 500 samples to GEP rank scores: immunocast against pandas.

The peer is what one writes in a notebook: `pandas.read_csv`, `DataFrame.rank(axis=1)`, the mean rank of the genes
brought to 0..1. Both read the same file, and the script stops where the scores differ. immunocast also detects
orientation, unit and logarithm and looks for odd cells within its time. Medians over rounds that alternate between
the two, one thread each.

    python benchmarks/bench_expression.py [--rounds 3] [--samples 500] [--genes 20000]
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from immunocast.cohort.expression import parse_expression, score_file
from immunocast.cohort.expression.genes import gene_sets

GENES = [g for g, w in gene_sets()["gep_score"].weights.items() if w > 0]
SETTINGS = parse_expression({"file": "m.csv", "unit": "TPM", "scores": {"gep_score": "rank"}})


def ours(path: Path) -> np.ndarray:
    return score_file(path, SETTINGS).frame["gep_score"].to_numpy()


def peer(path: Path, genes_in_rows: bool) -> np.ndarray:
    frame = pd.read_csv(path, index_col=0)
    ranks = (frame.T if genes_in_rows else frame).rank(axis=1)
    n, total = len(GENES), ranks.shape[1]
    return ((ranks[GENES].mean(axis=1) - (n + 1) / 2) / (total - n)).to_numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--genes", type=int, default=20_000)
    args = parser.parse_args()
    print(f"{platform.system()}, {os.cpu_count()} cores, one thread used; python {platform.python_version()}")
    print("versions  " + ", ".join(f"{m} {version(m)}" for m in ("immunocast", "numpy", "pandas", "pyarrow")))
    rng = np.random.default_rng(0)
    names = GENES + [f"OTHER{i}" for i in range(args.genes - len(GENES))]
    values = rng.lognormal(0, 2, (args.samples, args.genes))
    values *= 1e6 / values.sum(axis=1, keepdims=True)
    frame = pd.DataFrame(values.round(4), columns=names, index=[f"S{i}" for i in range(args.samples)])
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
        for genes_in_rows in (True, False):
            path = Path(folder) / "m.csv"
            (frame.T if genes_in_rows else frame).to_csv(path, index_label="id")
            times: tuple[list[float], list[float]] = ([], [])
            for _ in range(args.rounds):
                start = time.perf_counter()
                fast = ours(path)
                middle = time.perf_counter()
                slow = peer(path, genes_in_rows)
                times[0].append(middle - start)
                times[1].append(time.perf_counter() - middle)
                if np.abs(fast - slow).max() > 1e-12:
                    sys.exit("The scores differ: there is nothing to compare.")
            mine, theirs = map(statistics.median, times)
            way = "genes in rows" if genes_in_rows else "samples in rows"
            print(f"{way:16} immunocast {mine:6.2f} s   pandas {theirs:6.2f} s   ratio {theirs / mine:4.1f}")


if __name__ == "__main__":
    main()
