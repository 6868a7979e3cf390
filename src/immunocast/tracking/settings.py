"""The frozen configuration of a run as parameters, so that a comparison of runs shows every setting that differs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import yaml

from immunocast.store.runfolder import RunFolder
from immunocast.tracking.record_types import Param
from immunocast.tracking.sweep_labels import clean_key

#: Before the names of settings: a tracker sorts by name, and what a reader asks first has names of its own.
PREFIX = "settings"
_LEFT_OUT = ("_convert_",)
_OF_FILES = ("citation", "licence", "notes")


def setting_params(run: RunFolder) -> Iterator[Param]:
    """Every setting of config.yaml by its dotted name, and the digest of all; nothing where the run has no such file.

    Left out are the features of a model where they are those of the run, and how a file is read into a cohort (its
    columns, for example), which `data_digest` stands for.
    """
    path = run.path / "config.yaml"
    if not path.is_file():
        return
    text = path.read_text(encoding="utf-8")
    config = yaml.safe_load(text) or {}
    models = {
        name: {key: value for key, value in model.items() if key != "features" or value != config.get("features")}
        for name, model in (config.get("models") or {}).items()
    }
    cohort = {
        key: value
        for key, value in (config.get("cohort") or {}).items()
        if not _is_nested(value) and key not in _OF_FILES
    }
    yield Param("config_digest", hashlib.sha256(text.encode()).hexdigest()[:12])
    for key, value in flat({**config, "cohort": cohort, "models": models}):
        yield Param(clean_key(f"{PREFIX}.{key}"), value)


def flat(node: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Leaves of nested mappings with dotted names, as text.

    >>> list(flat({"nlr": {"clip": [0.5, 25]}, "age_years": {}, "timeout_s": None}))
    [('nlr.clip', '0.5, 25'), ('age_years', '{}'), ('timeout_s', 'null')]
    """
    if isinstance(node, dict) and node:
        for key, value in node.items():
            if key not in _LEFT_OUT:
                yield from flat(value, f"{name}.{key}" if name else str(key))
    elif isinstance(node, list) and node:
        yield name, ", ".join(text for part in node for _, text in flat(part))
    else:
        yield name, _plain(node)


def _is_nested(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(part, dict | list) for part in value))


def _plain(value: Any) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
