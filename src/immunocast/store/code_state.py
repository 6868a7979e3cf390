"""Which code made a run, and on what: git commit, changes to it, digests of source and lock, versions of packages."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

#: What a result can depend on; a changed README makes no tree dirty.
CODE_PATHS = ("src", "pipelines", "conf", "pyproject.toml", "requirements.lock")
#: Packages whose version can move a number.
PACKAGES = (
    "immunocast", "duckdb", "hydra-core", "mlflow", "numba", "numpy", "omegaconf", "optuna", "pandas", "pyarrow",
    "scikit-learn", "scipy", "shap", "skops", "xgboost", "xgboost-cpu",
)  # fmt: skip
_PACKAGE = Path(__file__).parents[1]


@cache
def code_state() -> dict[str, Any]:
    """The state of the code that is running, read once a process.

    Returns
    -------
    dict with
    git_commit : full hash, None outside of a git checkout of immunocast.
    dirty : whether files that results depend on differ from that commit; None where git_commit is.
    dirty_files : those files, relative to the checkout.
    source_digest : SHA-256 over the package's Python files, names and contents; the same for a checkout and for
        the wheel that was built from it.
    lock_digest : SHA-256 of requirements.lock, None where it is not beside the package.
    """
    root = checkout()
    commit = changed = None
    if root:
        commit = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=all", "--", *CODE_PATHS)
    lock = root / "requirements.lock" if root else None
    return {
        "git_commit": commit.strip() if commit else None,
        "dirty": bool(changed.strip()) if commit and changed is not None else None,
        "dirty_files": sorted(line[3:] for line in changed.splitlines()) if changed else [],
        "source_digest": source_digest(_PACKAGE),
        "lock_digest": hashlib.sha256(lock.read_bytes()).hexdigest() if lock and lock.is_file() else None,
    }


def environment() -> dict[str, Any]:
    """Interpreter, platform and the installed versions of `PACKAGES`."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "packages": found,
    }


def checkout() -> Path | None:
    """The git checkout that the running package belongs to, None for an installed one."""
    root = _PACKAGE.parents[1]
    # an environment inside another project's checkout is not that project
    return root if (root / ".git").exists() and (root / "src" / "immunocast").is_dir() else None


def source_digest(package: Path) -> str:
    """SHA-256 over the Python files below a folder: their relative names and contents, in order."""
    digest = hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        digest.update(file.relative_to(package).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _git(root: Path, *arguments: str) -> str | None:
    """What git says, None where there is no git or it refuses."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
