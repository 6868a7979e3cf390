"""The source tree that makes a run again: the pipelines are scripts beside the package, not in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from immunocast.errors import NotFoundError
from immunocast.store.code_state import code_state, environment
from immunocast.store.same_code import name_of

_OWN = Path(__file__).parents[3]
_STATE = (
    "import json; from immunocast.store.code_state import code_state, environment; "
    "print(json.dumps({'code': code_state(), 'environment': environment()}))"
)


def source_tree(checkout: Path | None, code_then: dict[str, Any] | None) -> Path:
    """The tree whose pipelines make the run again: as given, else the one of the package that is running.

    Parameters
    ----------
    checkout : a checkout of immunocast, None for the running one's.
    code_then : the code of the run, for what to get where there is none.

    Raises
    ------
    NotFoundError
        Where the tree has no pipelines, as with an installed package.
    """
    tree = (checkout or _OWN).expanduser().absolute()
    if (tree / "pipelines" / "run.py").is_file() and (tree / "src" / "immunocast").is_dir():
        return tree
    if checkout is not None:
        raise NotFoundError(f"--checkout {checkout} is no checkout of immunocast: it has no pipelines/run.py.")
    at = f"git checkout {code_then['git_commit']}" if code_then and code_then.get("git_commit") else "the run's version"
    raise NotFoundError(
        f"An installed immunocast holds no pipelines (looked in {tree}), and they make a run. Clone the repository, "
        f"get the code of the run ({at}), and name the clone: --checkout DIR."
    )


def environment_for(tree: Path) -> dict[str, str]:
    """Variables for a process that runs the code of a tree, whichever immunocast is installed."""
    path = os.pathsep.join([str(tree / "src"), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path}


def state_of(tree: Path) -> dict[str, Any]:
    """`code` and `environment` of a tree under this interpreter; {} where the tree is too old to say."""
    if tree == _OWN:
        return {"code": code_state(), "environment": environment()}
    done = subprocess.run(
        [sys.executable, "-c", _STATE], env=environment_for(tree), capture_output=True, text=True, check=False
    )
    return dict(json.loads(done.stdout)) if done.returncode == 0 else {}


def how_to_get(code_then: dict[str, Any], run_id: str) -> str:
    """How to get the code of a run, in a sentence."""
    commit = code_then.get("git_commit")
    if not commit:
        return f"The run came from {name_of(code_then)}: there is none to check out."
    text = (
        f"To get it: git worktree add ../immunocast-{commit[:8]} {commit}, then "
        f"immunocast reproduce {run_id} --checkout ../immunocast-{commit[:8]}"
    )
    if code_then.get("dirty"):
        files = ", ".join(code_then.get("dirty_files", [])[:3])
        text += f". The run's tree had changes that no commit holds ({files}), so that it may still differ"
    return text + "."
