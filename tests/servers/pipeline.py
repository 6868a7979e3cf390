"""pipelines/run.py with one quick stage instead of the computing ones: TEMPLATE is a finished run folder.

In the middle of the stage it writes the file `computing` and waits until there is a file `go_on`, where WAIT is set:
the test does to the store meanwhile what it wants.
"""

import os
import shutil
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "pipelines"))

import report
import run
from _stage import entry


def compute(cfg, work):
    shutil.copytree(os.environ["TEMPLATE"], work.path, dirs_exist_ok=True)
    (work.path / "manifest.json").unlink()
    Path("computing").touch()
    while os.environ.get("WAIT") and not Path("go_on").exists():
        time.sleep(0.05)


def finish(cfg, work, run_id):
    kept = {k: v for k, v in run.RunFolder(Path(os.environ["TEMPLATE"])).manifest().items() if k not in ("digests",)}
    work.write_meta("report", **kept | {"run_id": run_id})


# only where it is run: pytest imports every file below tests/
if __name__ == "__main__":
    run.STAGES.clear()
    run.STAGES["train"] = compute
    report.run = finish
    run.print_results = lambda sealed, seconds, said, steps: print(f"Report: {sealed.path}\n{said or ''}")
    entry(run.main)
