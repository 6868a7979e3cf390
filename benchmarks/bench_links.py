"""Linkage on duplicates planted with noise: precision, recall and time, beside a fixed key in the same run.

Copies of patients get new ids and go into another cohort, changed as another publication would change them. Nobody
else is twice in the data, so a link that was not planted is false. The peer is a fixed key, which immunocast used
before: sex and tumour type equal, FCNA within 6e-5 (and at least 5e-4), TMB within .06, age within 4 years.

    python benchmarks/bench_links.py [--seeds 5] [--largest 100000] [--data ../shared/data]
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from _memory import peak_mib

from immunocast.cohort.linkage import FIELDS, find_links
from immunocast.cohort.synthetic import SyntheticCohort
from immunocast.cohort.vocabulary import VOCABULARY

#: Decimals to which publications round.
PUBLISHED = {"tmb_mut_mb": 1, "fcna": 4, "albumin_g_dl": 1, "hemoglobin_g_dl": 1, "platelets_10e9_l": 0, "nlr": 2}
PUBLISHED |= {"pfs_months": 1, "os_months": 1, "age_years": 0, "pdl1_tps": 0, "bmi_kg_m2": 1, "gep_score": 3}
COARSE = PUBLISHED | {"tmb_mut_mb": 0, "fcna": 2, "nlr": 1, "pfs_months": 0, "os_months": 0, "gep_score": 1}


@dataclass(frozen=True)
class Noise:
    """What happens to a patient on the way into a second cohort.

    `missing` and `errors` are shares of fields left out or swapped with another patient's (`errors` in sex: a tenth
    of it). `age` is the largest shift in years, `panel` the factor on TMB, `blood` the sd of a new NLR and dNLR on
    the log scale and (halved) of the other blood values, `follow_up` the share of patients with longer PFS and OS.
    """

    label: str
    decimals: dict[str, int]
    age: int = 0
    missing: float = 0.0
    errors: float = 0.0
    panel: float = 1.0
    blood: float = 0.0
    follow_up: float = 0.0


LEVELS = (
    Noise("as published", PUBLISHED),
    Noise("rounded coarsely", COARSE),
    Noise("age +-1, 20 % missing, 2 % errors", PUBLISHED, age=1, missing=0.2, errors=0.02),
    Noise("same, NLR anew, 5 % errors", PUBLISHED, age=1, missing=0.2, errors=0.05, blood=0.3, follow_up=0.3),
    Noise(
        "same, TMB x 1.16 (other panel), 30 % missing",
        PUBLISHED, age=1, missing=0.3, errors=0.05, panel=1.16, blood=0.3, follow_up=0.3,
    ),
    Noise("same, FCNA to 2 decimals, 10 % errors", COARSE | {"pfs_months": 1, "os_months": 1},
          age=1, missing=0.3, errors=0.1, panel=1.16, blood=0.3, follow_up=0.3),
)  # fmt: skip


def rounded(cohort: pd.DataFrame, decimals: dict[str, int]) -> pd.DataFrame:
    """The cohort as it would be printed."""
    return cohort.assign(**{c: cohort[c].round(d) for c, d in decimals.items() if c in cohort})


def noisy(patients: pd.DataFrame, noise: Noise, rng: np.random.Generator) -> pd.DataFrame:
    """Copies of patients with new ids, changed."""
    out = patients.copy()
    n = len(out)
    for column in out.columns.intersection(list(VOCABULARY)):
        if VOCABULARY[column].role == "key":
            continue
        values = out[column]
        if column in ("pfs_months", "os_months") and noise.follow_up:
            values = values + rng.exponential(4.0, n) * (rng.random(n) < noise.follow_up)
        if column == "tmb_mut_mb":
            values = values * noise.panel
        if column in ("nlr", "dnlr"):
            values = values * np.exp(noise.blood * rng.standard_normal(n))
        elif column in ("albumin_g_dl", "hemoglobin_g_dl", "platelets_10e9_l"):
            values = values * np.exp(noise.blood / 4 * rng.standard_normal(n))
        if column == "age_years" and noise.age:
            values = values + rng.integers(-noise.age, noise.age + 1, n)
        share = noise.errors / 10 if column == "sex" else noise.errors
        wrong = rng.random(n) < share
        values = values.where(~wrong, values.sample(frac=1, random_state=int(rng.integers(2**31))).to_numpy())
        out[column] = values.mask(rng.random(n) < noise.missing)
    return rounded(out, noise.decimals).assign(
        patient_id="copy-" + patients["patient_id"], person_id="copy-" + patients["person_id"]
    )


def planted(cohort: pd.DataFrame, n_copies: int, noise: Noise, rng: np.random.Generator) -> pd.DataFrame:
    """The cohort, as published, with copies of `n_copies` patients of the first cohort in the last one."""
    base = rounded(cohort, PUBLISHED)
    names = sorted(set(base["cohort_id"]))
    pool = base[base["cohort_id"] == names[0]]
    picked = pool.iloc[rng.choice(len(pool), n_copies, replace=False)]
    both = pd.concat([base, noisy(picked, noise, rng).assign(cohort_id=names[-1])], ignore_index=True)
    return both.astype(base.dtypes.to_dict())


def fixed_key(cohort: pd.DataFrame) -> pd.DataFrame:
    """Pairs of different cohorts by the fixed key."""
    columns = ["patient_id", "cohort_id", "sex", "tumor_type", "fcna", "tmb_mut_mb", "age_years"]
    usable = cohort[columns].dropna()
    usable = usable[usable["fcna"] >= 5e-4]
    cell = np.floor(usable["fcna"] / 6e-5).astype(int)
    found = []
    for shift in (-1, 0, 1):
        pairs = usable.assign(cell=cell).merge(usable.assign(cell=cell + shift), on=["sex", "tumor_type", "cell"])
        near = (
            ((pairs["fcna_x"] - pairs["fcna_y"]).abs() <= 6e-5)
            & ((pairs["tmb_mut_mb_x"] - pairs["tmb_mut_mb_y"]).abs() <= 0.06)
            & ((pairs["age_years_x"] - pairs["age_years_y"]).abs() <= 4)
            & (pairs["cohort_id_x"] < pairs["cohort_id_y"])
        )
        found.append(pairs.loc[near, ["patient_id_x", "patient_id_y"]])
    return pd.concat(found).drop_duplicates()


def judged(pairs: pd.DataFrame) -> tuple[int, int]:
    """True and false links."""
    a, b = pairs.iloc[:, 0].astype(str), pairs.iloc[:, 1].astype(str)
    right = int((("copy-" + a == b) | ("copy-" + b == a)).sum())
    return right, len(pairs) - right


def row(label: str, ours: np.ndarray, reported: np.ndarray, key: np.ndarray, n: int) -> str:
    """A line of the table: true links of those planted, false links, precision; reported pairs, true and false."""
    cells = []
    for right, wrong in (ours, key):
        precision = f"{right / (right + wrong):.3f}" if right + wrong else "none"
        cells.append(f"{right} of {n} ({right / n:.3f}) | {wrong} | {precision}")
    return f"| {label} | {cells[0]} | {reported[0]} + {reported[1]} | {cells[1]} |"


def detection(title: str, cohorts: list[pd.DataFrame], n_copies: int) -> None:
    """Print precision and recall at each noise level, summed over cohorts."""
    print(f"\n{title}\n")
    print(
        "| noise | scored: linked (recall) | false | precision | reported: true + false "
        "| fixed key: linked (recall) | false | precision |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for noise in LEVELS:
        total = np.zeros((3, 2), dtype=int)
        for seed, cohort in enumerate(cohorts):
            both = planted(cohort, n_copies, noise, np.random.default_rng(seed))
            found = find_links(both)
            links, unsure = (f[["patient_id", "linked_patient_id"]] for f in (found.links, found.uncertain))
            total += np.array([judged(links), judged(unsure), judged(fixed_key(both))])
        print(row(noise.label, *total, n_copies * len(cohorts)), flush=True)


def halves(cohort: pd.DataFrame, seed: int) -> pd.DataFrame:
    """One published cohort, split at random into two: whoever is linked without being planted is a false link."""
    coin = np.random.default_rng(1000 + seed).random(len(cohort)) < 0.5
    return cohort.assign(cohort_id=np.where(coin, "A", "B")).reset_index(drop=True)


def timing(sizes: list[int]) -> None:
    """Print CPU seconds by cohort size (one thread; other processes on the machine do not count)."""
    print("\nTwo synthetic cohorts, 1 % of the first planted in the second with the fourth noise\n")
    print("| patients | pairs | compared | CPU s | peak MiB | found | false | fixed key, CPU s | found | false |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for n in sizes:
        cohort = SyntheticCohort(n_patients=2 * n, n_cohorts=2, seed=7).load().cohort
        both = planted(cohort, n // 100, LEVELS[3], np.random.default_rng(0))
        start = time.process_time()
        found = find_links(both, inside=None)
        middle = time.process_time()
        key = fixed_key(both)
        end = time.process_time()
        right, wrong = judged(found.links[["patient_id", "linked_patient_id"]])
        block = found.blocks.iloc[0]
        peak = peak_mib()
        print(
            f"| {n:,} x {n:,} | {block['n_pairs']:.2g} | {block['n_scored']:,} | {middle - start:.1f} | {peak:,.0f} | "
            f"{right} of {n // 100} | {wrong} | {end - middle:.1f} | {judged(key)[0]} | {judged(key)[1]} |",
            flush=True,
        )


def loris(data: Path) -> pd.DataFrame | None:
    """Chowell_train of the LORIS workbook; None where it is absent."""
    from immunocast.config import build, load_config

    if not (data / "cohorts/loris/loris.xlsx").is_file():
        return None
    cfg = load_config(["cohort=loris", f"paths.data={data}", "cohort.cohorts=[Chowell_train]"])
    return build(cfg.cohort, "cohort").load().cohort


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--largest", type=int, default=100_000)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("IMMUNOCAST_DATA", "../shared/data")))
    args = parser.parse_args()
    print(f"machine   {platform.processor() or platform.machine()}, {os.cpu_count()} cores, one used")
    print("versions  " + ", ".join(f"{m} {version(m)}" for m in ("immunocast", "numpy", "pandas")))
    print(f"fields    {len(FIELDS)} known to the linkage")
    synthetic = [SyntheticCohort(n_patients=3600, n_cohorts=3, seed=100 + s).load().cohort for s in range(args.seeds)]
    strangers = [find_links(rounded(cohort, PUBLISHED)) for cohort in synthetic]
    print(
        f"\nStrangers: {sum(len(s.links) for s in strangers)} links across and "
        f"{sum(len(s.duplicates) for s in strangers)} inside cohorts, among {args.seeds} x 3 cohorts of 1,200 without "
        f"a common patient ({sum(s.blocks['n_pairs'].sum() for s in strangers):,} pairs)"
    )
    detection(f"Synthetic, 3 x 1,200 patients, 100 planted, {args.seeds} seeds", synthetic, 100)
    real = loris(args.data)
    if real is None:
        print(f"\nThe LORIS workbook is not in {args.data}: the table of real patients is left out.", file=sys.stderr)
    else:
        title = f"LORIS, Chowell_train ({len(real)} real patients) split in two, 100 planted, {args.seeds} splits"
        detection(title, [halves(real, s) for s in range(args.seeds)], 100)
    timing([n for n in (10_000, 30_000, 100_000) if n <= args.largest])


if __name__ == "__main__":
    main()
