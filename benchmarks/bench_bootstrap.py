"""Bootstrap of AUROC, AUPRC and Brier: immunocast against a loop over scikit-learn calls.

Both see the same resamples, and the script stops where the values differ. The peer runs on fewer resamples and its
time is scaled up, which a loop allows. Ours draws the resamples within its
time, the peer gets them. Medians over rounds that alternate between the two, one thread each.

    python benchmarks/bench_bootstrap.py [--rounds 5] [--peer-resamples 200]
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score
from threadpoolctl import threadpool_limits

from immunocast.metrics import METRICS, blocks, person_weights, quotient, resampled_parts

PEERS = {"auroc": roc_auc_score, "auprc": average_precision_score, "brier": brier_score_loss}


def ours(y: np.ndarray, p: np.ndarray, n_resamples: int) -> np.ndarray:
    """(3, B) values, the drawing of the resamples included."""
    counts = person_weights(np.arange(len(y)), n_resamples=n_resamples)
    specs = [(METRICS[name], None) for name in PEERS]
    return np.array([quotient(*parts) for parts in resampled_parts(specs, y, p[None], blocks(counts))])


def loop(y: np.ndarray, p: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(3, B) values by scikit-learn on the patients drawn, the resamples given."""
    drawn = [np.repeat(np.arange(len(y)), column) for column in counts.T]
    return np.array([[peer(y[rows], p[rows]) for rows in drawn] for peer in PEERS.values()])


def measure(n: int, n_resamples: int, peer_resamples: int, rounds: int) -> tuple[float, float]:
    """Median seconds of ours and of the loop, both for `n_resamples`."""
    rng = np.random.default_rng(0)
    p = np.round(rng.beta(2, 4, n), 3)  # with ties, as predictions have
    y = (rng.random(n) < p).astype(int)
    counts = person_weights(np.arange(n), n_resamples=peer_resamples)
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        start = time.perf_counter()
        fast = ours(y, p, n_resamples)
        middle = time.perf_counter()
        slow = loop(y, p, counts)
        times[0].append(middle - start)
        times[1].append((time.perf_counter() - middle) * n_resamples / peer_resamples)
        worst = np.abs(fast[:, :peer_resamples] - slow).max()
        if worst > 1e-12:
            sys.exit(f"The values differ by {worst}: there is nothing to compare.")
    return statistics.median(times[0]), statistics.median(times[1])


def processor() -> str:
    """Name of the processor, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peer-resamples", type=int, default=200)
    args = parser.parse_args()
    print(f"machine   {processor()}, {os.cpu_count()} cores, one thread used; {platform.system()}")
    print(f"python    {platform.python_version()}")
    print("versions  " + ", ".join(f"{m} {version(m)}" for m in ("immunocast", "numpy", "scikit-learn")))
    for name in ("OPENBLAS_CORETYPE", "NPY_DISABLE_CPU_FEATURES"):
        if os.environ.get(name):
            print(f"note      {name}={os.environ[name]} is set and may change NumPy's speed")
    print(f"peer      timed on {args.peer_resamples} resamples and scaled; median of {args.rounds} rounds\n")
    print("| n | B | scikit-learn loop, s | immunocast, s | ratio |\n|---|---|---|---|---|")
    for n in (500, 5000):
        with threadpool_limits(1):
            fast, slow = measure(n, 2000, args.peer_resamples, args.rounds)
        print(f"| {n} | 2000 | {slow:.2f} | {fast:.3f} | {slow / fast:.0f}x |", flush=True)


if __name__ == "__main__":
    main()
