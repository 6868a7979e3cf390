"""Reproduce a run: environment, code and data held against the run's, the pipeline run again, tables compared.

The result is `reproduction.json` in the run folder, part of no digest: what `record` returns.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from immunocast import __version__
from immunocast.config import conf_dir
from immunocast.errors import ConfigError, NotFoundError
from immunocast.reproduce.data import DataChangedError, DataCheck, find_data
from immunocast.reproduce.rerun import RerunFailedError, rerun, with_engine, write_config
from immunocast.reproduce.source_tree import how_to_get, source_tree, state_of
from immunocast.store.compare import compare_bundles, compare_tables, verdict_of
from immunocast.store.runfolder import RunFolder
from immunocast.store.same_code import code_differences, environment_differences

FILE = "reproduction.json"
#: What a run can be found to be; `impossible` where it could not be made again.
IMPOSSIBLE = "impossible"


@dataclass(frozen=True)
class Options:
    """How to reproduce.

    Attributes
    ----------
    data_dir : folder of the data, `paths.data`.
    checkout : source tree to run; None for that of the running package.
    tolerance : numbers within it are close (`store.compare`); 0 knows only identical and different.
    strict : refuse to run with other code, other packages, or where that is not known.
    engine, workers : another engine than the run's, on which results never depend.
    keep : folder of runs in which the new run stays; None for a temporary one.
    """

    data_dir: Path
    checkout: Path | None = None
    tolerance: float = 0.0
    strict: bool = False
    engine: str | None = None
    workers: int | None = None
    keep: Path | None = None


def reproduce(run: RunFolder, options: Options, say: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """Make a run again and compare; the answer is written into the run folder, too.

    Parameters
    ----------
    run : a finished run.
    options : how.
    say : takes lines for people while it works.

    Returns
    -------
    dict as in docs/reproduce.md: run_id, verdict (identical, close, different, impossible), when, code, environment,
    data, config, tables, bundles and so on.

    Raises
    ------
    NotFoundError
        Where the run has no configuration, or there are no pipelines to run it with.
    ConfigError
        For settings that are wrong, and, with `strict`, for other code or packages.
    """
    if options.tolerance < 0:
        raise ConfigError(f"--tolerance {options.tolerance}: give 0 or more, e.g. 1e-9.")
    if not os.access(run.path, os.W_OK):
        raise ConfigError(f"{run.path} can't be written, and the record goes there: copy the run folder first.")
    about, frozen = run.manifest(), frozen_config(run)
    frozen_now = with_engine(frozen, conf_dir(), options.engine, options.workers)
    tree = source_tree(options.checkout, about.get("code"))
    state = state_of(tree)
    code = code_differences(about.get("code"), state.get("code"))
    differences = _environment(about, state)
    _tell_code(say, code, about, run.run_id)
    _tell_environment(say, differences)
    if options.strict:
        _refuse_other_code(code, differences, about, run.run_id)
    record: dict[str, Any] = {
        "run_id": run.run_id,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "immunocast_version": __version__,
        "synthetic": bool(about.get("provenance", {}).get("synthetic")),
        "code": {**(state.get("code") or {}), "same_as_run": code["same"], "of_run": about.get("code")},
        "environment": {"same": None if differences is None else not differences, "differences": differences or []},
        "engine": frozen_now.get("engine"),
        "tolerance": options.tolerance,
    }
    begin = time.perf_counter()
    try:
        data = find_data(frozen, about.get("provenance", {}), options.data_dir)
        _tell_data(say, data)
        record["data"] = {
            "same": data.same,
            "digest_then": data.digest_then,
            "digest_now": data.digest_now,
            "files": [file.name for file in data.files],
        }
        if options.keep:
            options.keep.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".immunocast-reproduce-", dir=options.keep) as folder:
            scratch = Path(folder)
            paths = {"runs": scratch / "runs", "work": scratch / "work", "data": options.data_dir}
            config = write_config(scratch / "conf", frozen_now, data.cohort, paths)
            new = rerun(tree, config, paths["runs"], lambda line: say(f"  {line}"))
            record |= compare(run, new, options.tolerance, frozen)
            if options.keep:
                record["kept"] = str(new.path.rename(options.keep / new.path.name))
    except (DataChangedError, RerunFailedError) as error:
        why = str(error)
        if isinstance(error, RerunFailedError) and code["same"] is False:
            why += f"\nThe run was made by other code. {how_to_get(about['code'], run.run_id)}"
        record |= {"verdict": IMPOSSIBLE, "why": why, "tables": {}, "bundles": {}}
    record["seconds"] = round(time.perf_counter() - begin, 1)
    unfinished = run.write_json(f".{FILE}.unfinished", record)
    unfinished.replace(run.path / FILE)  # nobody meets half a record
    return record


def frozen_config(run: RunFolder) -> dict[str, Any]:
    """The configuration that a run froze.

    Raises
    ------
    NotFoundError
        Where there is none.
    ConfigError
        Where it is damaged.
    """
    path = run.path / "config.yaml"
    if not path.is_file():
        raise NotFoundError(f"{run.path} has no config.yaml, so that nobody can know what was run.")
    try:
        plain = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} can't be read: {str(error).splitlines()[0]}.") from error
    if not isinstance(plain, dict) or not isinstance(plain.get("cohort"), dict):
        raise ConfigError(f"{path} is no configuration of a run: it has no cohort.")
    return plain


def compare(then: RunFolder, now: RunFolder, tolerance: float, frozen: dict[str, Any]) -> dict[str, Any]:
    """The part of the record that comes from two run folders: verdict, tables, bundles, config."""
    tables = compare_tables(then, now, tolerance)
    bundles = compare_bundles(then, now)
    return {
        "verdict": verdict_of(tables, bundles),
        "tables": {table.table: {k: v for k, v in table.to_dict().items() if k != "table"} for table in tables},
        "bundles": bundles,
        "config": config_differences(frozen, frozen_config(now)),
    }


def config_differences(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Settings that differ between two frozen configurations, by dotted key; the engine moves no result."""
    first, second = ({k: v for k, v in side.items() if k != "engine"} for side in (then, now))
    return sorted(_different_keys(first, second, ""))


def _different_keys(then: Any, now: Any, at: str) -> list[str]:
    if isinstance(then, dict) and isinstance(now, dict):
        keys = list(dict.fromkeys([*then, *now]))
        missing = object()
        return [d for k in keys for d in _different_keys(then.get(k, missing), now.get(k, missing), f"{at}.{k}")]
    return [] if then == now else [at.lstrip(".")]


def _environment(about: dict[str, Any], state: dict[str, Any]) -> list[dict[str, Any]] | None:
    code_then, code_now = about.get("code") or {}, state.get("code") or {}
    return environment_differences(
        about.get("environment"), state.get("environment"), code_then.get("lock_digest"), code_now.get("lock_digest")
    )


def _tell_code(say: Callable[[str], None], code: dict[str, Any], about: dict[str, Any], run_id: str) -> None:
    say(f"Code: {code['words']}.")
    if code["same"] is False:
        say(f"  {how_to_get(about['code'], run_id)}")


def _tell_environment(say: Callable[[str], None], differences: list[dict[str, Any]] | None) -> None:
    if differences is None:
        say("Environment: unknown: the run does not say in which it was made.")
    elif not differences:
        say("Environment: the same interpreter, platform and packages.")
    else:
        say(f"Environment: {len(differences)} differences.")
        for found in differences:
            say(f"  {found['what']}: {found['then'] or 'absent'} then, {found['now'] or 'absent'} now")


def _tell_data(say: Callable[[str], None], data: DataCheck) -> None:
    names = ", ".join(str(file) for file in data.files) or "generated from its settings and seed"
    if data.same:
        say(f"Data: the same, digest {data.digest_now[:12]} ({names}).")
    else:  # only a generator may differ and go on
        say(
            f"Data: the generator here makes other patients (digest {data.digest_then[:12]} then, "
            f"{data.digest_now[:12]} now)."
        )


def _refuse_other_code(
    code: dict[str, Any], differences: list[dict[str, Any]] | None, about: dict[str, Any], run_id: str
) -> None:
    if code["same"] is not True:
        how = how_to_get(about["code"], run_id) if about.get("code") else "Leave out --strict to try."
        raise ConfigError(f"--strict: code is {code['words']}. {how}")
    packages = [d for d in differences or [] if d["what"] != "platform"]
    if differences is None or packages:
        names = ", ".join(d["what"] for d in packages) or "unknown"
        raise ConfigError(
            f"--strict: the environment is not that of the run ({names}). The lock of its commit names every package: "
            "git checkout COMMIT && make setup. Or leave out --strict."
        )
