"""Run docs/analyst.ipynb: on two fresh, quick synthetic runs, or on runs that are there; fails where a cell does.

    python scripts/run_notebook.py                        # does it run? half a minute
    python scripts/run_notebook.py --runs runs --out analyst.ipynb   # on your own runs, with the answers

The notebook in docs/ is kept without answers, which are of one machine and one day.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbformat import NotebookNode

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "docs/analyst.ipynb"


def execute(runs_dir: Path, seconds: int = 300) -> NotebookNode:
    """Run all cells against the runs of a folder.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        Where a cell fails.
    """
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(notebook, timeout=seconds, kernel_name="python3", resources={"metadata": {"path": "."}})
    before = {name: os.environ.get(name) for name in ("IMMUNOCAST_RUNS", "PYTHONPATH")}
    paths = [str(ROOT / "src"), *([before["PYTHONPATH"]] if before["PYTHONPATH"] else [])]
    os.environ |= {"IMMUNOCAST_RUNS": str(runs_dir.absolute()), "PYTHONPATH": os.pathsep.join(paths)}
    try:
        return client.execute()
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value


def fresh_runs(folder: Path) -> None:
    """Two quick runs of synthetic patients, the second with another seed of the patients."""
    sys.path.insert(0, str(ROOT / "pipelines"))
    import report
    import run
    from immunocast.config import load_config
    from immunocast.store.runfolder import RunFolder

    for i in (1, 2):
        cfg = load_config(["experiment=quick", f"cohort.seed={i}", f"paths.runs={folder}", "tracking=none"])
        work = RunFolder(folder / f".{i}.unfinished")
        for stage in run.STAGES.values():
            stage(cfg, work)
        run_id = f"2026010{i}T000000000Z-synthetic-00000{i}"
        report.run(cfg, work, run_id)
        work.seal(folder / run_id)


def main() -> None:
    """Run it, and write it with its answers where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, help="folder of runs; two fresh ones where none is given")
    parser.add_argument("--out", type=Path, help="file to write the notebook with its answers to")
    args = parser.parse_args()
    if args.out is not None and args.out.exists():
        parser.error(f"{args.out} exists already")
    with tempfile.TemporaryDirectory() as temporary:
        runs = args.runs or Path(temporary)
        if args.runs is None:
            fresh_runs(runs)
        notebook = execute(runs)
    print(f"{sum(c.cell_type == 'code' for c in notebook.cells)} cells of {NOTEBOOK.name} ran")
    if args.out is not None:
        import nbformat

        nbformat.write(notebook, args.out)
        print(f"written to {args.out}")


if __name__ == "__main__":
    main()
