"""Mutations of each sample from a large MAF: our stream against pandas.read_csv and duckdb, time and peak memory.

Each path runs in a process of its own, on the same generated file (18 columns, half of them needed; samples mixed;
1 % of the rows repeat a change), alternating over the rounds; the script stops where their counts differ.
"pandas, needed columns" is the best that a reader of the whole file can do: `usecols`, then drop_duplicates and
groupby. Ratios of time are of CPU seconds, which other work on the machine disturbs less. Own memory is the
process's peak RSS minus what it had after its imports.

    python benchmarks/bench_maf.py [--rows 3000000] [--rounds 3] [--growth 1000000 6000000]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
from _memory import peak_mib

from immunocast.cohort.cbioportal.maf import CountingRule, GeneFlag, count_mutations
from immunocast.cohort.cbioportal.rule import COUNTED_CLASSES

HEADER = [
    *("Hugo_Symbol", "Entrez_Gene_Id", "Center", "NCBI_Build", "Chromosome", "Start_Position", "End_Position"),
    *("Strand", "Variant_Classification", "Variant_Type", "Reference_Allele", "Tumor_Seq_Allele1"),
    *("Tumor_Seq_Allele2", "dbSNP_RS", "Tumor_Sample_Barcode", "Mutation_Status", "HGVSp_Short", "t_alt_count"),
]
CLASSES = (*COUNTED_CLASSES, "Silent", "Intron", "3'UTR", "5'Flank")
CHANGE = ["Tumor_Sample_Barcode", "Chromosome", "Start_Position", "Reference_Allele", "Tumor_Seq_Allele2"]
NEEDED = [*CHANGE, "Tumor_Seq_Allele1", "Variant_Classification", "Mutation_Status", "Hugo_Symbol"]


def generate(path: Path, n_rows: int, n_samples: int = 2_000) -> None:
    """Write a MAF in blocks."""
    rng = np.random.default_rng(7)
    with path.open("w") as out:
        out.write("#version 2.4\n" + "\t".join(HEADER) + "\n")
        for first in range(0, n_rows, 100_000):
            n = min(100_000, n_rows - first)
            gene, sample = rng.integers(0, 18_000, n), rng.integers(0, n_samples, n)
            chromosome, start = rng.integers(1, 23, n), rng.integers(10_000, 240_000_000, n)
            kind, base = rng.integers(0, len(CLASSES), n), rng.integers(0, 4, n)
            other = (base + rng.integers(1, 4, n)) % 4
            lines = [
                f"GENE{g}\t{g}\tcentre\tGRCh37\t{c}\t{s}\t{s}\t+\t{CLASSES[k]}\tSNP\t{'ACGT'[b]}\t{'ACGT'[b]}\t"
                f"{'ACGT'[o]}\trs{s}\tTCGA-{p % 97:02d}-S{p:05d}-01\tSomatic\t"
                f"p.{'ARND'[b]}{s % 900}{'CEQG'[o]}\t{s % 60}\n"
                for g, p, c, s, k, b, o in zip(gene, sample, chromosome, start, kind, base, other, strict=True)
            ]
            lines[-n // 100 :] = lines[: n // 100]  # repeats, far from their first appearance
            out.writelines(lines)


def streamed(path: Path) -> dict[str, int]:
    """Ours, which also looks for mutations of single genes."""
    flags = {"kras_mut": GeneFlag(frozenset({"KRAS"}), frozenset(COUNTED_CLASSES))}
    return count_mutations(path, CountingRule(COUNTED_CLASSES, ("Germline",), flags)).counts


def whole(path: Path, columns: list[str] | None) -> dict[str, int]:
    """pandas: the whole table, all columns or the needed ones."""
    import pandas as pd

    table = pd.read_csv(path, sep="\t", comment="#", usecols=columns, low_memory=False)
    counted = table[table["Variant_Classification"].isin(COUNTED_CLASSES) & (table["Mutation_Status"] != "Germline")]
    found = counted.drop_duplicates(CHANGE).groupby("Tumor_Sample_Barcode").size()
    return found.reindex(table["Tumor_Sample_Barcode"].unique(), fill_value=0).to_dict()


def by_duckdb(path: Path) -> dict[str, int]:
    """duckdb, which may spill to disk above 300 MB."""
    import duckdb

    listed = ", ".join(f"'{name}'" for name in COUNTED_CLASSES)
    columns = ", ".join(CHANGE[1:])
    query = f"""
        select Tumor_Sample_Barcode, count(distinct ({columns})) filter (
            where Variant_Classification in ({listed}) and Mutation_Status != 'Germline')
        from read_csv('{path}', delim='\t', header=true, skip=1, all_varchar=true, quote='', ignore_errors=true)
        group by 1
    """
    with tempfile.TemporaryDirectory() as folder:
        settings = {"threads": 1, "memory_limit": "300MB", "temp_directory": folder}
        return dict(duckdb.connect(config=settings).sql(query).fetchall())


PATHS = {
    "immunocast, streamed": streamed,
    "duckdb, limit 300 MB": by_duckdb,
    "pandas, needed columns": lambda path: whole(path, NEEDED),
    "pandas, all columns": lambda path: whole(path, None),
}


def child(name: str, path: Path) -> None:
    """Run one path and print its seconds, MiB and a digest of its counts."""
    import duckdb
    import pandas
    import pyarrow.csv

    del duckdb, pandas, pyarrow
    before = peak_mib()
    start, used = time.perf_counter(), _cpu()
    counts = PATHS[name](path)
    seconds, cpu = time.perf_counter() - start, _cpu() - used
    peak = peak_mib()
    total = sum(counts.values()), sum(n * n for n in counts.values()), len(counts)
    print(json.dumps({"seconds": seconds, "cpu": cpu, "peak": peak, "own": peak - before, "counts": total}))


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def run(name: str, path: Path) -> dict:
    """One path in a fresh process."""
    done = subprocess.run(
        [sys.executable, __file__, "--child", name, str(path)], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=3_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--growth", type=int, nargs="*", default=[1_000_000, 6_000_000])
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args.child[0], Path(args.child[1]))
        return
    packages = ", ".join(f"{p} {version(p)}" for p in ("pandas", "pyarrow", "duckdb", "numpy"))
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}, {packages}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "big.maf"
        generate(path, args.rows)
        print(f"{args.rows:,} rows, {path.stat().st_size / 1e6:,.0f} MB, {args.rounds} rounds, medians")
        rounds = [{name: run(name, path) for name in PATHS} for _ in range(args.rounds)]
        if len({tuple(r["counts"]) for results in rounds for r in results.values()}) != 1:
            sys.exit("The counts differ: there is nothing to compare.")
        medians = {
            name: {k: statistics.median(r[name][k] for r in rounds) for k in ("seconds", "cpu", "peak", "own")}
            for name in PATHS
        }
        ours = next(iter(medians.values()))
        print(f"{'path':26}{'seconds':>9}{'CPU s':>8}{'ratio':>7}{'peak MiB':>10}{'own MiB':>9}{'ratio':>7}")
        for name, m in medians.items():
            print(
                f"{name:26}{m['seconds']:9.2f}{m['cpu']:8.2f}{m['cpu'] / ours['cpu']:7.1f}{m['peak']:10.0f}"
                f"{m['own']:9.0f}{m['own'] / ours['own']:7.1f}"
            )
        for n in args.growth:
            generate(path, n)
            m = run("immunocast, streamed", path)
            print(f"streamed, {n:,} rows: {m['cpu']:.2f} CPU s, {m['own']:.0f} MiB own, {m['peak']:.0f} MiB peak")


if __name__ == "__main__":
    main()
