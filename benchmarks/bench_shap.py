"""Exact path-dependent SHAP values: immunocast's tables and walk against XGBoost's own and the shap package.

    python benchmarks/run.py shap [--rounds 5]

Ours reads the model, builds the tables and looks up all rows within its time. Peers of large data run on fewer rows and
are scaled up: that their time grows in proportion is shown. Peak memory is that of fresh processes, above what they
held before with the data and the model loaded (Linux):

    python benchmarks/bench_shap.py --peak ours --depth 4 --rows 1000000
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import shap
import xgboost as xgb
from _first_use import first_use
from _memory import peak_mib
from _table import Row, Section, timed
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from xgboost import XGBClassifier

from immunocast.explain.trees.choose import NATIVE_BELOW, tree_shap
from immunocast.explain.trees.shap import TreeShap

FEATURES, TREES, TRAINING = 25, 300, 20_000
#: Depth, rows, rows of the peers, targets against XGBoost's own contributions and against shap.TreeExplainer.
BOOSTERS = ((4, 1_000_000, 50_000, 25.0, 50.0), (6, 200_000, 20_000, 12.0, None), (2, 200_000, 20_000, None, None))
#: Rows on which peak memory is compared.
PEAK_ROWS = 50_000
#: Largest difference that passes, relative to the largest value: float32 of XGBoost, float64 of scikit-learn.
TOLERANCE = {"single": 1e-5, "double": 1e-11}

ABOUT = f"""
Every patient's values of every feature, {FEATURES} columns with a tenth of the values missing; models fitted to
{TRAINING:,} rows. immunocast (`tree_shap`) reads the fitted model, makes tables of the values of every combination of a
subtree's conditions, and looks patients up; forests, whose trees are too deep for tables, and few rows are walked. All
of that, from the fitted estimator to the array, is within its time. The peers are `Booster.predict(pred_contribs=True)`
with the making of the DMatrix, and `shap.TreeExplainer(feature_perturbation="tree_path_dependent")`, made and called.
For XGBoost models shap calls `pred_contribs`. Where both need seconds for each round, peers are timed on fewer rows and
scaled up. Small rows are the sizes of a default run: 1,000 patients, models as in `conf/model`.
"""


def data(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Values (n, features) as float32 with gaps, and an outcome with an interaction."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, FEATURES), dtype=np.float32)
    X[rng.random(X.shape, dtype=np.float32) < 0.1] = np.nan
    signal = np.nan_to_num(X[:, 0]) + np.nan_to_num(X[:, 1] * X[:, 2])
    return X, (signal + rng.standard_normal(n, dtype=np.float32) > 0).astype(int)


def booster(depth: int) -> XGBClassifier:
    """A booster of that depth; the data are the same for all."""
    X, y = data(TRAINING)
    return XGBClassifier(n_estimators=TREES, max_depth=depth, n_jobs=1).fit(X, y)


def ours(model: Any, X: np.ndarray) -> np.ndarray:
    """Values by immunocast, never by the library's own way."""
    return tree_shap(model, X)[0]


def native(model: Any, X: np.ndarray) -> np.ndarray:
    """XGBoost's own contributions, one thread."""
    found = model.get_booster().predict(xgb.DMatrix(X, nthread=1), pred_contribs=True)
    return found[:, :-1]


def shap_package(model: Any, X: np.ndarray) -> np.ndarray:
    """Values by the shap package; of the second class where it has one for each."""
    explainer = shap.TreeExplainer(model, feature_perturbation="tree_path_dependent")
    values = np.asarray(explainer.shap_values(X, check_additivity=False))
    return values[..., 1] if values.ndim == 3 else values


class Case:
    """One model and its rows against one or two peers, which see the first `peer_rows`."""

    def __init__(self, what: str, model: Any, X: np.ndarray, peer_rows: int, peers: dict[str, tuple[Callable, Any]]):
        self.what, self.model, self.X, self.peer_rows, self.peers = what, model, X, peer_rows, peers
        self.ours_s: list[float] = []
        self.peer_s: dict[str, list[float]] = {name: [] for name in peers}
        self.half_s: dict[str, list[float]] = {name: [] for name in peers}
        self.worst: dict[str, float] = {}

    def turn(self, keep: bool) -> None:
        """One round: ours on all rows, each peer on its rows and, where it is scaled up, on half of them."""
        few, scaled = self.X[: self.peer_rows], self.peer_rows < len(self.X)
        fast, seconds = timed(partial(ours, self.model, self.X))
        tolerance = TOLERANCE["single" if fast.dtype == np.float32 or hasattr(self.model, "get_booster") else "double"]
        if keep:
            self.ours_s.append(seconds)
        for name, (peer, _) in self.peers.items():
            slow, seconds = timed(partial(peer, self.model, few))
            self.worst[name] = float(np.abs(fast[: self.peer_rows] - slow).max())
            if not self.worst[name] <= tolerance * max(1.0, float(np.abs(slow).max())):
                sys.exit(f"{self.what}: {name} differs by {self.worst[name]}: there is nothing to compare.")
            if keep:
                self.peer_s[name].append(seconds * len(self.X) / self.peer_rows)
                if scaled:
                    self.half_s[name].append(timed(partial(peer, self.model, few[: self.peer_rows // 2]))[1])

    def rows(self, way: str) -> Iterator[Row]:
        """A row a peer."""
        for name, (_, target) in self.peers.items():
            yield Row(self.what, way, name, self.ours_s, self.peer_s[name], self.worst[name], target)

    def linearity(self) -> Iterator[str]:
        """How the time of a scaled peer grows with its rows."""
        for name, half in self.half_s.items():
            if half:
                whole = statistics.median(self.peer_s[name]) * self.peer_rows / len(self.X)
                yield (
                    f"{self.what}: {name} was timed on {self.peer_rows:,} rows ({whole:.3g} s) and scaled; on "
                    f"{self.peer_rows // 2:,} it took {statistics.median(half) / whole:.2f} of the time."
                )


def small_cases() -> Iterator[tuple[Case, str]]:
    """The sizes of a default run."""
    X, y = data(1000, seed=1)
    full = np.nan_to_num(X).astype(np.float64)
    forest = RandomForestClassifier(200, min_samples_leaf=5, max_features="sqrt", random_state=0, n_jobs=1)
    histogram = HistGradientBoostingClassifier(
        max_iter=150, learning_rate=0.05, max_leaf_nodes=4, min_samples_leaf=40, l2_regularization=5, random_state=0
    )
    package = {"shap.TreeExplainer": (shap_package, None)}
    yield Case("forest of 200 trees, n = 1,000", forest.fit(full, y), full, 1000, package), "walk"
    yield (
        Case("HistGradientBoosting, 150 trees of 4 leaves, n = 1,000", histogram.fit(full, y), full, 1000, package),
        "walk",
    )


def section(rounds: int) -> Section:
    """The rows of boosters and of the small models."""
    rows: list[Row] = []
    notes: list[str] = []
    for depth, n, peer_rows, over_native, over_package in BOOSTERS:
        peers = {"pred_contribs": (native, over_native)}
        if over_package:
            peers["shap.TreeExplainer"] = (shap_package, over_package)
        what = f"XGBoost, {TREES} trees of depth {depth}, n = {n:,}"
        case = Case(what, booster(depth), data(n, seed=1)[0], peer_rows, peers)
        for turn in range(rounds + 1):  # the first warms all up and is not kept
            case.turn(keep=turn > 0)
        rows += case.rows("tables")
        notes += case.linearity()
        build_s, table_bytes = built(case.model, n, rounds)
        note = (
            f"{what}: reading the model and building takes {build_s:.2g} s of it, the tables {table_bytes / 2**20:.0f} "
            f"MiB. Peak memory above data and model {peak('ours', depth, n):.0f} MiB, of which the values are "
            f"{n * FEATURES * 4 / 2**20:.0f}"
        )
        if over_package:
            few = [f"{peak(way, depth, PEAK_ROWS):.0f} MiB" for way in ("ours", "native")]
            note += f"; with {PEAK_ROWS:,} rows {few[0]}, and {few[1]} for pred_contribs"
        notes.append(f"{note}.")
    for case, way in small_cases():
        for turn in range(rounds + 1):
            case.turn(keep=turn > 0)
        rows += case.rows(way)
    cold, warm = first_use("immunocast.explain.shap_values", "immunocast.explain.trees.shap")
    notes.append(
        f"The compiled loops cost {cold:.1f} s the first time on a machine, {warm:.1f} s once a process afterwards "
        "(numba included), which no row above holds: where rows times rounds of an XGBoost model are below "
        f"{NATIVE_BELOW:,}, `tree_shap` therefore leaves it to pred_contribs."
    )
    return Section(
        "SHAP values", ABOUT, rows, ("immunocast", "numpy", "numba", "xgboost-cpu", "shap", "scikit-learn"), notes
    )


def built(model: Any, n: int, rounds: int) -> tuple[float, int]:
    """Median seconds until an explainer is ready, and the bytes of its tables."""
    found = [timed(partial(TreeShap, model, n_rows=n)) for _ in range(rounds)]
    return statistics.median(seconds for _, seconds in found), found[0][0].table_bytes


def peak(way: str, depth: int, n: int) -> float:
    """MiB above what a fresh process holds before."""
    code = [sys.executable, __file__, "--peak", way, "--depth", str(depth), "--rows", str(n)]
    return float(subprocess.run(code, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    """Print the growth of this process's peak memory in MiB."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peak", choices=["ours", "native"], required=True)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--rows", type=int, default=1_000_000)
    args = parser.parse_args()
    model, X = booster(args.depth), data(args.rows, seed=1)[0]
    function = {"ours": ours, "native": native}[args.peak]
    function(model, X[:20])  # what is loaded once is no memory of the rows
    # the peak of making the data is forgotten (Linux, proc(5))
    Path("/proc/self/clear_refs").write_text("5")
    before = peak_mib()
    function(model, X)
    print(peak_mib() - before)


if __name__ == "__main__":
    main()
