"""Equal estimators in equal bytes: skops writes memory addresses and the time of day into its files."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

#: Numbers and strings: whether two of them were one object in memory means nothing, and differs by process.
_LEAF = "JsonNode"
_TIME = (1980, 1, 1, 0, 0, 0)


def rewrite_reproducibly(path: Path) -> None:
    """Number the objects of a skops file in the order of its schema and drop the time stamps, in place.

    Digests of bundles then tell whether two runs made the same models.
    """
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(parts.pop("schema.json"))
    numbers: dict[Any, int] = {}
    files: dict[str, str] = {}
    for count, node in enumerate(_nodes(schema)):
        if "__id__" in node:
            # a leaf gets a number of its own; anything else keeps what it shares
            key = ("leaf", count) if node.get("__loader__") == _LEAF else node["__id__"]
            node["__id__"] = numbers.setdefault(key, len(numbers))
        if isinstance(node.get("file"), str):
            old = node["file"]
            node["file"] = files.setdefault(old, f"{len(files)}{Path(old).suffix}")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for old, new in files.items():
            _write(archive, new, parts.pop(old))
        for name in sorted(parts):
            _write(archive, name, parts[name])
        _write(archive, "schema.json", json.dumps(schema).encode())


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    """All mappings of the schema, depth first, in the order in which they stand."""
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _nodes(child)


def _write(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    info = zipfile.ZipInfo(name, date_time=_TIME)
    info.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(info, content)
