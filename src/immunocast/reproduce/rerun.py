"""Run the pipeline again with a frozen configuration, in a process of its own, as `pipelines/run.py` does."""

from __future__ import annotations

import subprocess
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from immunocast.config import literal
from immunocast.errors import ConfigError, ImmunocastError
from immunocast.reproduce.source_tree import environment_for
from immunocast.store.runfolder import RunFolder, list_runs

NAME = "frozen"
#: Hydra needs these of a primary configuration; they make no folders and no logs.
_HEAD = {
    "defaults": ["_self_", {"override hydra/job_logging": "disabled"}, {"override hydra/hydra_logging": "disabled"}],
    "hydra": {"output_subdir": None, "run": {"dir": "."}},
}


class RerunFailedError(ImmunocastError):
    """The pipeline did not come to its end with the run's configuration."""


def write_config(folder: Path, frozen: dict[str, Any], cohort: dict[str, Any], paths: dict[str, Path]) -> Path:
    """Write a configuration that Hydra can run from: the frozen one, with the places of now and without tracking.

    Parameters
    ----------
    folder : for `--config-dir`.
    frozen : the run's configuration.
    cohort : its cohort with places, of `data.find_data`.
    paths : runs, work and data.
    """
    places = {name: str(path.expanduser().absolute()) for name, path in paths.items()}
    plain = {**frozen, "cohort": cohort, "paths": places, "tracking": {}}
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{NAME}.yaml"
    # texts are guarded where they hold `${`, and quoted: OmegaConf reads some plain words otherwise than PyYAML
    file.write_text(
        yaml.dump({**_HEAD, **literal(plain)}, Dumper=_Quoting, sort_keys=False, allow_unicode=True), encoding="utf-8"
    )
    return file


def with_engine(frozen: dict[str, Any], conf: Path, engine: str | None, workers: int | None) -> dict[str, Any]:
    """The configuration with another engine or number of workers, on which results never depend.

    Raises
    ------
    ConfigError
        For an unknown engine, and workers for one that has none.
    """
    changed = dict(frozen.get("engine") or {})
    if engine is not None:
        file = conf / "engine" / f"{engine}.yaml"
        if not file.is_file():
            known = ", ".join(sorted(p.stem for p in (conf / "engine").glob("*.yaml")))
            raise ConfigError(f"There is no engine {engine!r}. Engines: {known}.")
        changed = yaml.safe_load(file.read_text(encoding="utf-8"))
    if workers is not None:
        if workers < 1:
            raise ConfigError(f"--workers {workers}: give 1 or more.")
        if "n_jobs" not in changed:
            raise ConfigError("--workers: a serial engine has one. Choose another: --engine threads.")
        changed["n_jobs"] = workers
    return {**frozen, "engine": changed}


def rerun(tree: Path, config: Path, runs: Path, say: Callable[[str], None]) -> RunFolder:
    """Run all stages again.

    Parameters
    ----------
    tree : source tree whose pipelines run.
    config : what `write_config` wrote.
    runs : folder in which the new run folder appears, as the configuration says; it holds no other.
    say : takes the pipeline's own lines of progress.

    Raises
    ------
    RerunFailedError
        Where the pipeline ends with an error; holds its last words.
    """
    command = [
        sys.executable,
        str(tree / "pipelines" / "run.py"),
        f"--config-dir={config.parent}",
        f"--config-name={NAME}",
    ]
    last: deque[str] = deque(maxlen=12)
    with subprocess.Popen(
        command, env=environment_for(tree), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                if line.strip():
                    last.append(line.rstrip())
                    say(line.rstrip())
        except BaseException:  # interrupted: the pipeline throws away what it had begun
            process.terminate()
            process.wait()
            raise
    if process.returncode:
        raise RerunFailedError(
            f"The pipeline ended with exit code {process.returncode} on the run's configuration. Its last words:\n  "
            + "\n  ".join(_last_words(list(last)))
        )
    made = list_runs(runs)
    if not made:
        raise RerunFailedError(f"The pipeline ended, and left no run in {runs}.")
    return made[-1]


def _last_words(lines: list[str]) -> list[str]:
    """The message at the end; of a traceback only the error itself."""
    if any(line.startswith("Traceback") for line in lines) or all(line.startswith(" ") for line in lines[:-1]):
        return lines[-1:]
    return [line for line in lines if not line.rstrip().endswith(" s")][-6:] or lines[-1:]


class _Quoting(yaml.SafeDumper):
    """Writes every text in quotes."""


_Quoting.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))
