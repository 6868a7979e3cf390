"""Bootstrap of the catalogue's metrics: immunocast against a loop over scikit-learn calls.

    python benchmarks/run.py bootstrap [--rounds 5]

Both see the same resamples. The peer runs on fewer resamples and its time is scaled up, which a loop allows: that
its time grows in proportion is shown. Ours draws the resamples within its time, the peer gets them.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator
from functools import partial

import numpy as np
from _first_use import first_use
from _table import Row, Section, timed
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, d2_brier_score, roc_auc_score
from threadpoolctl import threadpool_limits

from immunocast.metrics import METRICS, blocks, logit, person_weights, quotient, resampled_fits, resampled_parts
from immunocast.metrics import _compiled as compiled

RESAMPLES = 2000
DEFAULT = compiled.COMPILED_FROM
THRESHOLD = 0.3
#: Resamples on which the peer is timed, by patients; half as many are timed as well.
PEER_RESAMPLES = {500: 200, 5000: 100}
#: Largest difference that passes: sums to rounding, fits to what both iterations promise.
TOLERANCE = {"calibration_intercept": 1e-8, "calibration_slope": 1e-6}

ABOUT = """
Values of all B resamples that percentile intervals are made of. The peer is a loop over resamples: `roc_auc_score`,
`average_precision_score`, `brier_score_loss`, `d2_brier_score` of scikit-learn; for the calibration slope
`LogisticRegression(C=inf, solver="newton-cholesky")` on the logit; for the calibration intercept, which needs an
offset that scikit-learn lacks, Newton's method in NumPy; for net benefit two counts and for O/E two sums in NumPy.
All eight are the catalogue but for the integrated calibration index (ICI), for which neither scikit-learn nor NumPy has
a peer: its seconds stand below. Predictions have three digits, so that there are ties. immunocast's NumPy way batches
resamples; its compiled way (numba) is taken from {from_:,} patient-resamples on. Drawing the resamples is within
immunocast's time, not within the peer's.
"""


def newton_intercept(y: np.ndarray, x: np.ndarray) -> float:
    """Intercept of a logistic model with offset x."""
    a = 0.0
    for _ in range(50):
        mu = 1 / (1 + np.exp(-(x + a)))
        step = np.sum(y - mu) / np.sum(mu * (1 - mu))
        a += step
        if abs(step) < 1e-9:
            break
    return a


def sklearn_slope(y: np.ndarray, x: np.ndarray) -> float:
    """Slope of a logistic model without penalty."""
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-8, max_iter=100)
    return float(model.fit(x[:, None], y).coef_[0, 0])


def counted_benefit(y: np.ndarray, p: np.ndarray) -> float:
    """Net benefit at the threshold."""
    treated = p >= THRESHOLD
    return (np.sum(treated & (y == 1)) - np.sum(treated & (y == 0)) * THRESHOLD / (1 - THRESHOLD)) / len(y)


PEERS = {
    "auroc": roc_auc_score,
    "auprc": average_precision_score,
    "brier": brier_score_loss,
    "scaled_brier": d2_brier_score,
    "calibration_intercept": lambda y, p: newton_intercept(y, logit(p)),
    "calibration_slope": lambda y, p: sklearn_slope(y, logit(p)),
    "oe_ratio": lambda y, p: y.sum() / p.sum(),
    "net_benefit": counted_benefit,
}
SETS = {
    "AUROC, AUPRC, Brier": ("auroc", "auprc", "brier"),
    "all eight metrics": tuple(PEERS),
}

WAYS = ("NumPy", "compiled")


def ours(y: np.ndarray, p: np.ndarray, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Values (B,) by metric, the drawing of the resamples included."""
    resamples = blocks(person_weights(np.arange(len(y)), n_resamples=RESAMPLES))
    specs = [(METRICS[k], THRESHOLD if METRICS[k].at_threshold else None) for k in names if METRICS[k].adds_up]
    found = {
        m.name: quotient(*parts)
        for (m, _), parts in zip(specs, resampled_parts(specs, y, p[None], resamples), strict=True)
    }
    for name in names:
        if not METRICS[name].adds_up:
            found[name] = resampled_fits(METRICS[name], y, p[None], resamples)
    return found


def loop(y: np.ndarray, p: np.ndarray, counts: np.ndarray, name: str) -> np.ndarray:
    """Values of one metric on the patients drawn, the resamples given."""
    drawn = [np.repeat(np.arange(len(y)), column) for column in counts.T]
    return np.array([PEERS[name](y[rows], p[rows]) for rows in drawn])


class Case:
    """One number of patients: the data, and the seconds of every round."""

    def __init__(self, n: int, peer_resamples: int):
        rng = np.random.default_rng(0)
        self.n, self.k = n, peer_resamples
        self.p = np.round(rng.beta(2, 4, n), 3)  # with ties, as predictions have
        self.y = (rng.random(n) < self.p).astype(int)
        self.counts = person_weights(np.arange(n), n_resamples=peer_resamples)
        self.ours_s: dict[tuple[str, str], list[float]] = {}
        self.loop_s: dict[str, list[float]] = {name: [] for name in PEERS}
        self.half_s: list[float] = []
        self.worst: dict[tuple[str, str], float] = {}

    def turn(self, keep: bool) -> None:
        """One round: the loop, the loop on half as many resamples, and ours in both ways."""
        slow = {}
        for name in PEERS:
            slow[name], seconds = timed(partial(loop, self.y, self.p, self.counts, name))
            if keep:
                self.loop_s[name].append(seconds)
        if keep:
            few = self.counts[:, : self.k // 2]
            self.half_s.append(sum(timed(partial(loop, self.y, self.p, few, name))[1] for name in PEERS))
        for way in WAYS:
            compiled.COMPILED_FROM = 0 if way == "compiled" else self.n * RESAMPLES + 1
            for what, names in SETS.items():
                fast, seconds = timed(partial(ours, self.y, self.p, names))
                if keep:
                    self.ours_s.setdefault((what, way), []).append(seconds)
                self.worst[what, way] = max(_difference(fast[m][: self.k], slow[m], m) for m in names)

    def rows(self) -> Iterator[Row]:
        """A row a set of metrics and way; the loop's time scaled to all resamples."""
        for what, names in SETS.items():
            times = zip(*(self.loop_s[name] for name in names), strict=True)
            peer = [sum(one) * RESAMPLES / self.k for one in times]
            for way in WAYS:
                label = f"{what}; n = {self.n:,}, B = {RESAMPLES:,}"
                target = 80 if self.n == 500 else 20 if way == "NumPy" else 200
                yield Row(label, way, "loop", self.ours_s[what, way], peer, self.worst[what, way], target)

    def linearity(self) -> str:
        """How the loop's time grows with the number of resamples."""
        whole = statistics.median(sum(times) for times in zip(*self.loop_s.values(), strict=True))
        return (
            f"n = {self.n:,}: the loop was timed on {self.k} resamples and scaled to {RESAMPLES:,}; on {self.k // 2} "
            f"it took {statistics.median(self.half_s) / whole:.2f} of the time on {self.k}."
        )


def section(rounds: int) -> Section:
    """The rows of both sizes, both sets of metrics, both ways."""
    rows: list[Row] = []
    notes: list[str] = []
    with threadpool_limits(1):
        for n, k in PEER_RESAMPLES.items():
            case = Case(n, k)
            for turn in range(rounds + 1):  # the first warms both up and is not kept
                case.turn(keep=turn > 0)
            rows += case.rows()
            notes.append(case.linearity())
    compiled.COMPILED_FROM = DEFAULT
    cold, warm = first_use("immunocast.metrics", "immunocast.metrics._kernels")
    with threadpool_limits(1):
        notes.append(ici_seconds(rounds))
    notes.append(
        f"The compiled loops cost {cold:.1f} s the first time on a machine, {warm:.1f} s once a process afterwards "
        "(numba included); their machine code is kept on disk."
    )
    packages = ("immunocast", "numpy", "numba", "scikit-learn")
    return Section("Bootstrap", ABOUT.format(from_=DEFAULT), rows, packages, notes)


def ici_seconds(rounds: int) -> str:
    """Seconds of the index alone, its resamples drawn, which no peer is timed for."""
    found = []
    for n in PEER_RESAMPLES:
        case = Case(n, 2)
        for way in WAYS:
            compiled.COMPILED_FROM = 0 if way == "compiled" else n * RESAMPLES + 1
            seconds = [timed(partial(ours, case.y, case.p, ("ici",)))[1] for _ in range(rounds + 1)][1:]
            found.append(f"n = {n:,}, {way} {statistics.median(seconds):.3g} s")
    compiled.COMPILED_FROM = DEFAULT
    return f"ICI alone, B = {RESAMPLES:,}, resamples drawn within: {'; '.join(found)}."


def _difference(fast: np.ndarray, slow: np.ndarray, name: str) -> float:
    worst = float(np.abs(fast - slow).max())
    if not worst <= TOLERANCE.get(name, 1e-12):
        sys.exit(f"{name} differs by {worst}: there is nothing to compare.")
    return worst
