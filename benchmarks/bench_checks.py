"""Which traps the checks find: each is planted in 5, 20 and 100 % of the rows, and the runs that notice are counted.

    python benchmarks/bench_checks.py                  # the table of docs/checks.md (10 seeds, minutes)
    python benchmarks/bench_checks.py --seeds 2 --sizes 300 --traps nlr_constant,pfs_days
    python benchmarks/bench_checks.py --false-alarms 50

Patients come from the synthetic generator, as one cohort. A run counts as found where a code that the trap should
raise appears, for the right column, and did not appear before the trap was planted.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from immunocast.cohort.checks import check_cohort, check_duplicates
from immunocast.cohort.linkage import find_links
from immunocast.cohort.outcomes import make_labels
from immunocast.cohort.synthetic import SyntheticCohort
from immunocast.cohort.table import Provenance

REAL = Provenance("planted", False, "generator", "0")
MONTH = 30.4375
SHARES = (0.05, 0.2, 1.0)

Plant = Callable[[pd.DataFrame, np.ndarray, np.random.Generator], pd.DataFrame]


@dataclass(frozen=True)
class Trap:
    """A mistake as files have it; `plant` changes the rows of a mask. `codes` are those that should tell."""

    what: str
    plant: Plant
    codes: tuple[str, ...]
    column: str | None = None


def _put(column: str, value: Callable[[pd.DataFrame], object]) -> Plant:
    return lambda c, rows, rng: c.assign(**{column: c[column].where(~rows, value(c))})


def _times(column: str, factor: float, digits: int = 0) -> Plant:
    return lambda c, rows, rng: c.assign(**{column: c[column].where(~rows, (c[column] * factor).round(digits))})


def _both_times(factor: float) -> Plant:
    def plant(c: pd.DataFrame, rows: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
        return _times("os_months", factor)(_times("pfs_months", factor)(c, rows, rng), rows, rng)

    return plant


def _invert(column: str) -> Plant:
    return lambda c, rows, rng: c.assign(**{column: c[column].where(~rows, 1 - c[column])})


def _by_type(column: str) -> Plant:
    def plant(c: pd.DataFrame, rows: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
        return c.assign(**{column: c[column].where(~rows, c.groupby("tumor_type")[column].transform("median"))})

    return plant


def _pfs_beyond_os(c: pd.DataFrame, rows: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    return c.assign(
        pfs_months=c["pfs_months"].where(~rows, c["os_months"]), os_months=c["os_months"].where(~rows, c["pfs_months"])
    )


def _deceased_only(c: pd.DataFrame, rows: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    return c.assign(os_months=c["os_months"].mask(rows & (c["os_event"] == 0).to_numpy(dtype=bool)))


def _twice_dnlr(c: pd.DataFrame, rows: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    dnlr = (c["nlr"] / np.exp(rng.normal(0.55, 0.25, len(c)))).round(2)
    return c.assign(dnlr=dnlr, nlr=c["nlr"].where(~rows, (2 * dnlr).round(2)))


def _leak(c: pd.DataFrame, rows: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    told = (3.9 + 1.2 * (c["responder"].astype("float64") - 0.5) + rng.normal(0, 0.25, len(c))).round(1)
    return c.assign(albumin_g_dl=c["albumin_g_dl"].where(~rows, told))


def _missing_by_outcome(c: pd.DataFrame, rows: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    return c.assign(nlr=c["nlr"].mask(rows & (c["responder"] == 0).to_numpy(dtype=bool, na_value=False)))


def _copies(noise: float) -> Plant:
    def plant(c: pd.DataFrame, rows: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
        twins = c[rows].copy()
        for column in ("albumin_g_dl", "nlr", "age_years", "pfs_months", "os_months"):
            twins[column] = (
                (twins[column] * np.exp(rng.normal(0, noise, len(twins)))).round(2) if noise else twins[column]
            )
        ids = pd.Series([f"twin-{i}" for i in range(len(twins))], index=twins.index, dtype="str")
        return pd.concat([c, twins.assign(patient_id=ids, person_id=ids)], ignore_index=True)

    return plant


def _capped(c: pd.DataFrame, rows: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    bound = float(c["tmb_mut_mb"].quantile(1 - min(rows.mean(), 0.5)).round(0))
    return c.assign(tmb_mut_mb=c["tmb_mut_mb"].clip(upper=bound))


def _site_shift(c: pd.DataFrame, rows: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    if rows.all():
        rows = np.arange(len(c)) < len(c) / 2  # a shift of everybody is none
    site = pd.Series(np.where(rows, "X", "Y"), index=c.index, dtype="str")
    return c.assign(site_id=site, hemoglobin_g_dl=c["hemoglobin_g_dl"].where(~rows, c["hemoglobin_g_dl"] + 4))


def _free_text(c: pd.DataFrame, rows: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    notes = pd.Series([f"pembrolizumab, note {i}" for i in range(len(c))], index=c.index, dtype="str")
    return c.assign(regimen=pd.Series("pembrolizumab", index=c.index, dtype="str").where(~rows, notes))


IMPUTED = ("IC-CONST-001", "IC-CONST-002", "IC-CONST-003")
TRAPS: dict[str, Trap] = {
    "nlr_constant": Trap("NLR 6.2 imputed", _put("nlr", lambda c: 6.2), IMPUTED, "nlr"),
    "albumin_constant": Trap("albumin 3.8 imputed", _put("albumin_g_dl", lambda c: 3.8), IMPUTED, "albumin_g_dl"),
    "tmb_constant": Trap("TMB 54 imputed", _put("tmb_mut_mb", lambda c: 54.0), IMPUTED, "tmb_mut_mb"),
    "nlr_median": Trap("NLR, median imputed", _put("nlr", lambda c: c["nlr"].median().round(2)), IMPUTED, "nlr"),
    "albumin_mean": Trap(
        "albumin, mean imputed (unrounded)",
        _put("albumin_g_dl", lambda c: c["albumin_g_dl"].mean()),
        IMPUTED,
        "albumin_g_dl",
    ),
    "nlr_by_type": Trap("NLR, median of the tumour type imputed", _by_type("nlr"), IMPUTED, "nlr"),
    "tps_constant": Trap("TPS 50 imputed", _put("pdl1_tps", lambda c: 50.0), IMPUTED, "pdl1_tps"),
    "missing_code": Trap("999 for missing NLR", _put("nlr", lambda c: 999.0), ("IC-CONST-001", "IC-CONST-005"), "nlr"),
    "capped": Trap("TMB capped", _capped, ("IC-CONST-001", "IC-CONST-004"), "tmb_mut_mb"),
    "pfs_days": Trap("PFS in days", _times("pfs_months", MONTH), ("IC-UNIT-002", "IC-UNIT-003"), "pfs_months"),
    "os_days": Trap("OS in days", _times("os_months", MONTH), ("IC-UNIT-002", "IC-UNIT-003"), "os_months"),
    "both_days": Trap("PFS and OS in days", _both_times(MONTH), ("IC-UNIT-002", "IC-UNIT-003")),
    "both_weeks": Trap("PFS and OS in weeks", _both_times(MONTH / 7), ("IC-UNIT-002", "IC-UNIT-003")),
    "pfs_inverted": Trap("PFS event inverted", _invert("pfs_event"), ("IC-FLAG-001", "IC-FLAG-002"), "pfs_event"),
    "os_inverted": Trap("OS event inverted", _invert("os_event"), ("IC-FLAG-001", "IC-FLAG-002")),
    "pfs_beyond_os": Trap("PFS and OS swapped", _pfs_beyond_os, ("IC-SURV-001",)),
    "deceased_only": Trap("OS of the living removed", _deceased_only, ("IC-SURV-002", "IC-SURV-005")),
    "twice_dnlr": Trap("NLR = 2 x dNLR", _twice_dnlr, ("IC-DEP-001", "IC-DEP-002"), "nlr"),
    "albumin_g_l": Trap(
        "albumin in g/L", _times("albumin_g_dl", 10, 1), ("IC-UNIT-004", "IC-UNIT-005"), "albumin_g_dl"
    ),
    "hb_g_l": Trap(
        "haemoglobin in g/L", _times("hemoglobin_g_dl", 10), ("IC-UNIT-004", "IC-UNIT-005"), "hemoglobin_g_dl"
    ),
    "tps_fraction": Trap("TPS as fraction", _times("pdl1_tps", 0.01, 2), ("IC-UNIT-001", "IC-UNIT-004"), "pdl1_tps"),
    "tmb_counts": Trap("TMB as counts (x 38)", _times("tmb_mut_mb", 38), ("IC-UNIT-004", "IC-UNIT-005"), "tmb_mut_mb"),
    "leak": Trap("albumin tells the outcome", _leak, ("IC-LEAK-001", "IC-LEAK-004"), "albumin_g_dl"),
    "missing_by_outcome": Trap(
        "NLR missing in non-responders", _missing_by_outcome, ("IC-LEAK-002", "IC-MISS-002"), "nlr"
    ),
    "copies": Trap("patients twice, copied", _copies(0), ("IC-DUP-001", "IC-DUP-002")),
    "noisy_copies": Trap("patients twice, values 1 % off", _copies(0.01), ("IC-DUP-001", "IC-DUP-002")),
    "site_shift": Trap("haemoglobin 4 g/dL higher at a site", _site_shift, ("IC-SHIFT-001",), "hemoglobin_g_dl"),
    "free_text": Trap("remarks in the regimen", _free_text, ("IC-CAT-001",), "regimen"),
    "dates": Trap(
        "birth years as age",
        _put("age_years", lambda c: 2018 - c["age_years"]),
        ("IC-RANGE-002", "IC-RANGE-003"),
        "age_years",
    ),
}


def cohort_of(n: int, seed: int) -> pd.DataFrame:
    """A clean synthetic cohort of one cohort id."""
    return SyntheticCohort(n_patients=n, n_cohorts=1, seed=seed).load().cohort


def codes_of(cohort: pd.DataFrame, linked: bool = False) -> Counter[tuple[str, str | None]]:
    """How often each (code, column) was found."""
    y = make_labels(cohort).y
    found = check_cohort(cohort, y, REAL, [])
    if linked:
        found += check_duplicates(find_links(cohort).duplicates)
    return Counter((f["code"], f["column"]) for f in found)


def detected(trap: Trap, cohort: pd.DataFrame, before: Counter, share: float, seed: int) -> set[str]:
    """Codes that tell of the trap once it is planted."""
    rng = np.random.default_rng([seed, round(share * 100)])
    rows = rng.permutation(len(cohort)) < max(1, round(share * len(cohort)))
    after = codes_of(trap.plant(cohort, rows, rng), "IC-DUP-002" in trap.codes)
    return {
        code
        for (code, column), n in (after - before).items()
        if code in trap.codes and trap.column in (None, column) and n
    }


def study(names: list[str], sizes: list[int], seeds: int) -> Iterator[dict[str, object]]:
    """A row a trap and size: the share of runs that found it, by share of rows, and the codes that told."""
    clean = {n: [(cohort_of(n, s), s) for s in range(seeds)] for n in sizes}
    base = {n: [(c, codes_of(c), s) for c, s in runs] for n, runs in clean.items()}
    for name in names:
        trap = TRAPS[name]
        for n in sizes:
            told: Counter[str] = Counter()
            row: dict[str, object] = {"trap": trap.what, "n": n}
            for share in SHARES:
                hits = [detected(trap, c, before, share, s) for c, before, s in base[n]]
                told.update(code for codes in hits for code in codes)
                row[f"{share:.0%}"] = f"{np.mean([bool(h) for h in hits]):.0%}"
            yield row | {"codes": ", ".join(sorted(told)) or "none"}


def false_alarms(seeds: int) -> pd.DataFrame:
    """Findings on clean default synthetic cohorts: mean number a cohort id, by code."""
    found: Counter[tuple[str, str]] = Counter()
    cohorts = 0
    for seed in range(seeds):
        tables = SyntheticCohort(seed=seed).load()
        cohorts += tables.cohort["cohort_id"].nunique()
        y = make_labels(tables.cohort).y
        findings = check_cohort(tables.cohort, y, tables.provenance, [], unmapped=tables.unmapped)
        found.update((f["severity"], f["code"]) for f in findings)
    rows = [{"severity": s, "code": c, "found": k, "a cohort": k / cohorts} for (s, c), k in sorted(found.items())]
    totals = [
        {"severity": s, "code": "all", "found": k, "a cohort": k / cohorts}
        for s in ("error", "warning", "info")
        for k in [sum(v for (t, _), v in found.items() if t == s)]
    ]
    return pd.DataFrame(rows + totals)


def main() -> None:
    """Print the table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--sizes", default="150,300,1200")
    parser.add_argument("--traps", default=",".join(TRAPS))
    parser.add_argument("--false-alarms", type=int, metavar="SEEDS")
    chosen = parser.parse_args()
    started = time.perf_counter()
    if chosen.false_alarms:
        print(false_alarms(chosen.false_alarms).to_string(index=False, float_format="{:.3f}".format))
    else:
        names, sizes = chosen.traps.split(","), [int(n) for n in chosen.sizes.split(",")]
        for k, row in enumerate(study(names, sizes, chosen.seeds)):
            if k == 0:
                print("| " + " | ".join(row) + " |\n|" + "---|" * len(row))
            print("| " + " | ".join(str(v) for v in row.values()) + " |", flush=True)
    print(f"\n{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
