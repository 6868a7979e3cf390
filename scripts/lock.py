"""Writes requirements.lock from pyproject.toml, and tells offline whether it is current.

    scripts/lock.py           resolve again, keeping the locked versions that still fit (needs an index)
    scripts/lock.py --check   compare pyproject's dependencies with those of the lock (needs nothing)

uv options after `--` go to `uv pip compile`: `scripts/lock.py -- --upgrade`.
"""

import hashlib
import json
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = ("cpu", "dvc", "dev", "server")
MARK = "# inputs: sha256:"


def inputs_digest(pyproject: Path) -> str:
    """Hash what the resolver is given: the dependency tables and the Python that is asked for."""
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    extras = project.get("optional-dependencies", {})
    inputs = {
        "requires-python": project["requires-python"],
        "dependencies": sorted(project["dependencies"]),
        "extras": {name: sorted(extras[name]) for name in EXTRAS},
    }
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def recorded_digest(lock: Path) -> str | None:
    """Return the hash in the lock's first line, or None where there is none."""
    first = lock.read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix(MARK) if first.startswith(MARK) else None


def check(pyproject: Path, lock: Path) -> str | None:
    """Return what is wrong with the lock, or None."""
    if not lock.is_file():
        return f"{lock.name} is missing: call `make lock`"
    recorded = recorded_digest(lock)
    if recorded is None:
        return f"{lock.name} does not begin with '{MARK}...': call `make lock`"
    if recorded != inputs_digest(pyproject):
        return f"{pyproject.name} changed its dependencies after {lock.name} was made: call `make lock`"
    return None


def write(pyproject: Path, lock: Path, options: list[str]) -> None:
    """Resolve with uv and put the inputs' hash above the result."""
    # the bootstrap's uv: the same program, certificates and interpreter as everywhere
    command = [str(ROOT / "scripts" / "bootstrap.sh"), "--uv"]
    # no header and no index URL: the file must be the same whoever made it, behind whichever mirror
    command += ["pip", "compile", "--quiet", "--universal", "--python-version", "3.12"]
    command += ["--generate-hashes", "--no-emit-index-url", "--no-annotate", "--no-header"]
    command += [part for extra in EXTRAS for part in ("--extra", extra)]
    # uv reads the old versions from the output file and keeps those that still fit
    command += [*options, str(pyproject), "-o", str(lock)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    lines = lock.read_text(encoding="utf-8").splitlines(keepends=True)
    body = "".join(line for line in lines if not line.startswith(MARK))
    lock.write_text(f"{MARK}{inputs_digest(pyproject)}\n{body}", encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Run the command line."""
    pyproject, lock = ROOT / "pyproject.toml", ROOT / "requirements.lock"
    if arguments == ["--check"]:
        problem = check(pyproject, lock)
        if problem:
            print(problem, file=sys.stderr)
        return 1 if problem else 0
    if arguments and arguments[0] != "--":
        print(__doc__, file=sys.stderr)
        return 2
    try:
        write(pyproject, lock, arguments[1:])
    except subprocess.CalledProcessError as error:
        print(f"requirements.lock was not written: uv pip compile exited {error.returncode}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
