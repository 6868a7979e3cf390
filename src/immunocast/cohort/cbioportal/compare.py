"""How far the TMB of the clinical file and that of the MAF differ."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import spearmanr

from immunocast.cohort.checks import finding

#: A MAF that yields half or double of what the study publishes was filtered or normalised in another way.
_FAR = 1.25
_CLOSE = 0.1


def compare_tmb(clinical: np.ndarray, maf: np.ndarray, used: str, cohort_id: str) -> dict[str, Any] | None:
    """A finding on two columns of TMB in mut/Mb, NaN where missing; None where no patient has both.

    A warning where the median ratio is outside of 0.8 to 1.25, or where more than a fifth of the patients differ by
    more than 10 % and more than half a mutation per Mb.
    """
    both = np.isfinite(clinical) & np.isfinite(maf)
    n = int(both.sum())
    if not n:
        return None
    ours, theirs = maf[both], clinical[both]
    positive = (ours > 0) & (theirs > 0)
    ratio = float(np.median(ours[positive] / theirs[positive])) if positive.any() else float("nan")
    differ = int(((np.abs(ours - theirs) > _CLOSE * theirs) & (np.abs(ours - theirs) > 0.5)).sum())
    message = (
        f"TMB of the clinical file and of the MAF, {n} patients with both: median ratio MAF / clinical {ratio:.2f}, "
        f"{differ} differ by more than 10 % and 0.5 mut/Mb"
    )
    if n >= 3 and np.ptp(ours) > 0 and np.ptp(theirs) > 0:
        message += f", rank correlation {float(spearmanr(ours, theirs).statistic):.3f}"
    message += f". Used is the {'MAF' if used == 'maf' else 'clinical file'} (`mutations.prefer`)"
    far = not 1 / _FAR <= ratio <= _FAR if positive.any() else differ > 0
    code, severity = ("IC-MAF-015", "warning") if far or differ > n / 5 else ("IC-MAF-010", "info")
    return finding(code, severity, message, cohort_id=cohort_id, column="tmb_mut_mb", n=n)
