"""Run folders of tables alone, as small as a gate's question."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from immunocast.config import conf_dir
from immunocast.gates import GateSettings
from immunocast.store.runfolder import RunFolder
from immunocast.store.schemas import TABLES


def _neighbour(name: str) -> Any:
    """A neighbour of this file as a module: tests are no package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


rows = _neighbour("rows")


@pytest.fixture(scope="session")
def shipped() -> dict:
    """The gates of conf/promotion/default.yaml, plain."""
    return yaml.safe_load((conf_dir() / "promotion" / "default.yaml").read_text())["gates"]


@pytest.fixture
def settings(shipped) -> Callable[..., GateSettings]:
    """The shipped gates, some settings changed: settings(min_events={"value": 5}, subgroups=None)."""

    def made(**changes):
        plain = {name: dict(values) for name, values in shipped.items()}
        for name, change in changes.items():
            plain[name] = None if change is None else plain.get(name, {}) | change
        return GateSettings.from_plain(plain)

    return made


@pytest.fixture
def folder(tmp_path):
    """Make a sealed run folder: folder("run-1", {"metrics": [...rows]}, scheme=..., ...manifest)."""

    def made(name: str, tables: dict, **manifest) -> RunFolder:
        run = RunFolder(tmp_path / f".{name}")
        for table, content in tables.items():
            frame = content
            if not isinstance(content, pd.DataFrame):
                frame = pd.DataFrame(content, columns=list(TABLES[table].columns))
            if "waived_because" in frame and not frame["waived_because"].notna().any():
                frame["waived_because"] = pd.Series([None] * len(frame), dtype="str")
            run.write_table(table, frame)
        about = {
            "scheme": rows.SCHEME, "endpoint": "response", "headline_model": "ridge",
            "provenance": {"synthetic": False, "name": "demo"},
            "code": {"git_commit": "c" * 40, "dirty": False, "dirty_files": []},
        }  # fmt: skip
        run.update_manifest(**(about | manifest))
        return run.seal(tmp_path / name)

    return made
