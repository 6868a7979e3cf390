"""A reproduction in a few lines for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

#: More tables that differ are counted only; reproduction.json has all.
_MOST = 12


def lines_of(record: dict[str, Any]) -> Iterator[str]:
    """The lines: what was compared, what differs, and the verdict last.

    Parameters
    ----------
    record : of `run_again.reproduce`.
    """
    yield f"Run {record['run_id']}{'  SYNTHETIC COHORT' if record['synthetic'] else ''}"
    if record["verdict"] == "impossible":
        yield f"IMPOSSIBLE: {record['why']}"
        return
    tables, bundles = record["tables"], record["bundles"]
    same = [t for t in tables.values() if t["verdict"] == "identical"]
    in_bytes = sum(t["how"] == "bytes" for t in same)
    yield f"{len(same)} of {len(tables)} tables are identical, {in_bytes} of them byte for byte."
    others = {name: t for name, t in tables.items() if t["verdict"] != "identical"}
    for name, found in list(others.items())[:_MOST]:
        n = "" if found["n_then"] is None else f" ({found['n_then']} rows)"
        close = ", within the tolerance" if found["verdict"] == "close" else ""
        yield f"  {name}{n}{close}: {_first(found['how'].split('; '), found['columns'])}"
    if len(others) > _MOST:
        yield f"  and {len(others) - _MOST} more tables"
    yield f"{bundles['identical']} of {bundles['n']} files of models are identical."
    for what in ("different", "missing", "extra"):
        if bundles[what]:
            shown = ", ".join(bundles[what][:3]) + (f" and {len(bundles[what]) - 3} more" if bundles[what][3:] else "")
            yield f"  {what}: {shown}"
    if record["config"]:
        yield f"The pipeline ran with other settings than it was given: {', '.join(record['config'][:6])}"
    yield _VERDICTS[record["verdict"]]


_VERDICTS = {
    "identical": "IDENTICAL: every table and every model came out the same.",
    "close": "CLOSE: no number differs by more than the tolerance; files of models may differ in bytes.",
    "different": "DIFFERENT: not the same came out. reproduction.json has every table and column.",
}


def _first(parts: list[str], columns: list[dict[str, Any]]) -> str:
    """The first parts of a table's differences: many columns of one table mostly have one cause."""
    return "\n    ".join(parts[:3]) + (f"\n    and {len(columns)} columns in all" if len(parts) > 3 else "")
