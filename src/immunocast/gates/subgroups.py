"""The gate on subgroups: nobody for whom the ranking breaks down.

A level has collapsed where its AUROC lies more than a margin below everybody's, and a test says that this is no
chance. The test takes the run's own table: the level's AUROC on the logit scale, with the standard error that its
interval has there (Pepe 2003, section 5.2), against everybody's; one-sided, corrected by Holm (1979) over all
levels of all variables. Everybody's own error is left out: the level is part of everybody, and the variance of a
part's difference from the whole, Var(part) - Var(whole) where the whole is efficient (Hausman 1978), is below
Var(part), which is taken. The margin is a judgement, no source.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import norm

from immunocast.gates.evidence import Evidence, interval, known
from immunocast.gates.settings import Collapse
from immunocast.gates.verdict import FAILED, PASSED, Finding, unknown
from immunocast.metrics import holm, logit

#: Strata that a marker and the outcome define together; docs/subgroups.md.
_NO_SUBGROUP = ("all", "discordance")


def subgroups(evidence: Evidence, settings: Collapse) -> Finding:
    """No level of a subgroup variable where the AUROC collapses."""
    whole = evidence.estimate("auroc")
    rows = evidence.rows("metrics", metric="auroc", model=evidence.model, recalibration="none", cohort_id="combined")
    rows = rows[~rows["subgroup"].isin(_NO_SUBGROUP)] if len(rows) else rows
    if rows.empty:
        return unknown("the run has no estimates in subgroups of this model: put it among evaluation.subgroup_models")
    if whole is None or not known(whole["estimate"]):
        return unknown("the run has no AUROC of this model over all patients")
    rows = rows[rows["n"] != whole["n"]]  # a level that is everybody tests nothing
    tested = levels_tested(rows, float(whole["estimate"]))
    small = len(rows) - len(tested)
    left = f"; {small} too small" if small else ""
    if tested.empty:
        return unknown(f"no level of {len(rows)} is large enough for an interval")
    limit = f"none may be {settings.margin:g} or more below with corrected p < {settings.alpha:g}"
    fallen = tested[(tested["drop"] >= settings.margin) & (tested["p_adjusted"] < settings.alpha)]
    if len(fallen):
        named = ", ".join(_named(row) for row in fallen.sort_values("p_adjusted").to_dict("records"))
        return Finding(FAILED, f"{named} against {whole['estimate']:.3f} of everybody; {limit}")
    worst = tested.sort_values("drop").to_dict("records")[-1]
    return Finding(
        PASSED,
        f"{len(tested)} levels{left}; lowest {_named(worst)} against {whole['estimate']:.3f} of everybody; {limit}",
    )


def levels_tested(rows: pd.DataFrame, whole: float) -> pd.DataFrame:
    """Levels with an interval: their rows with `drop` of the AUROC below `whole`, `p` and `p_adjusted`.

    Parameters
    ----------
    rows : rows of the metrics table, AUROC of levels.
    whole : AUROC of everybody.
    """
    there = rows[rows[["estimate", "ci_low", "ci_high"]].notna().all(axis=1)]
    low, high = (logit(there[end].to_numpy(dtype=float)) for end in ("ci_low", "ci_high"))
    value = logit(there["estimate"].to_numpy(dtype=float))
    error = (high - low) / (2 * norm.ppf(0.975))
    with np.errstate(divide="ignore", invalid="ignore"):
        p = norm.cdf((value - logit(np.array([whole]))) / error)
    return there.assign(drop=whole - there["estimate"].astype(float), p=p, p_adjusted=holm(p))


def _named(row: dict) -> str:
    return (
        f"{row['subgroup']} {row['level']}: {interval(row)} in {int(row['n']):,} patients, corrected p = "
        f"{row['p_adjusted']:.2g}"
    )
