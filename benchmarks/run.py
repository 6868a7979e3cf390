"""Run the benchmarks against named peers, all in one process, and write docs/benchmarks.md.

    python benchmarks/run.py                          # all of them, minutes; writes docs/benchmarks.md
    python benchmarks/run.py bootstrap --rounds 3     # one, to the terminal only
    python benchmarks/run.py bootstrap --out page.md

A benchmark is a file bench_NAME.py beside this one with a function `section(rounds) -> Section` (_table.py); it is
found by that. Peers see the same data in the same run, and a benchmark stops where results differ.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "benchmarks.md"

HEAD = """# Benchmarks

Written by `make bench`, which measures anew and replaces this page; one section alone, to the terminal:
`python benchmarks/run.py NAME`. Each ratio is of two ways timed in the same run, in turn, on the same data, after both
were run once. Seconds are processor time and one thread is used, but where a row says wall: there both cores are used
and the clock on the wall counts, which a load near the number of cores makes worthless. Medians over {rounds} rounds
with the range. A benchmark stops where the two results differ by more than it says.

Machine: {machine}.
"""


def names() -> list[str]:
    """The benchmarks that can be run, by the name after bench_."""
    files = sorted(HERE.glob("bench_*.py"))
    return [f.stem.removeprefix("bench_") for f in files if "\ndef section(" in f.read_text()]


def main(arguments: Sequence[str] | None = None) -> None:
    known = names()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(known)}; all where none is given")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that alternate between the two (5)")
    parser.add_argument("--out", type=Path, help="markdown file to write; docs/benchmarks.md where all are run")
    args = parser.parse_args(arguments)
    unknown = [name for name in args.names if name not in known]
    if unknown:
        parser.error(f"there is no benchmark {', '.join(unknown)}; there is {', '.join(known)}")
    if args.rounds < 1:
        parser.error(f"--rounds is {args.rounds}: at least 1 is needed")
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"  # before anything numerical is imported
    from _table import machine, section_markdown

    text = HEAD.format(machine=machine(), rounds=args.rounds)
    print(text, flush=True)
    for name in args.names or known:
        part = section_markdown(importlib.import_module(f"bench_{name}").section(args.rounds))
        print(part, flush=True)
        text += "\n" + part
    out = args.out or (None if args.names else PAGE)
    if out:
        out.write_text(text)
        print(f"written to {out}", file=sys.stderr)


if __name__ == "__main__":
    main()
