"""What a statement may be: one read of the views. Whatever is not known to be a read is refused.

DuckDB's own locks (no access to files, settings locked) stand behind this. They alone would leave doors open: DuckDB 2
takes COPY, INSERT and DELETE inside a WITH, runs SQL from a string (`query`, `json_execute_serialized_sql`), and
lists what it knows of the machine. So the parsed statement is read through: nodes and table functions by a list of what
is allowed, tables by the names of the views.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from immunocast.errors import ConfigError

if TYPE_CHECKING:
    import duckdb

LONGEST = 100_000  # characters
ONLY_READS = "Only reads are possible here: write a SELECT. Runs are never changed."
_NODES = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
_TABLE_FUNCTIONS = {"range", "generate_series", "unnest", "json_each", "json_tree"}
_SHOWN = {'"tables"', "tables", "__show_tables_expanded"}
# functions of a row that tell of the machine, write a log, or read SQL from a string
_FUNCTIONS = re.compile(
    r"(current_setting|getenv|get_?variable|write_log|query|query_table|json_execute_serialized_sql|which_secret"
    r"|in_search_path|nextval|currval|parse_duckdb_log_message|(duckdb|pragma|pg|read|parquet|sniff|load)_.*)"
)
_EXPLAIN = re.compile(r"\s*explain\s+(analyze\s+)?", re.IGNORECASE)


def check(connection: duckdb.DuckDBPyConnection, statement: str, views: Sequence[str]) -> list[str]:
    """Make sure that a statement is one read of the views.

    Parameters
    ----------
    connection : any connection; it only parses.
    statement : SQL.
    views : names that may be read.

    Returns
    -------
    The views that it names, all of them where it lists tables.

    Raises
    ------
    ConfigError
        For anything else, in words.
    duckdb.Error
        Where it cannot be parsed.
    """
    import duckdb

    if len(statement) > LONGEST:
        raise ConfigError(f"The statement has {len(statement):,} characters; {LONGEST:,} are the most.")
    if "\0" in statement:
        raise ConfigError("The statement has a zero byte.")
    statements = connection.extract_statements(statement)
    if len(statements) != 1:
        raise ConfigError(f"Give one SQL statement; there are {len(statements)}.")
    try:
        kind = statements[0].type
    except ValueError:  # a kind that DuckDB's Python does not know itself
        raise ConfigError(ONLY_READS) from None
    text = statement
    if kind == duckdb.StatementType.EXPLAIN and (head := _EXPLAIN.match(statement)):
        text = statement[head.end() :]
        inner = connection.extract_statements(text)
        kind = inner[0].type if len(inner) == 1 else kind
    if kind != duckdb.StatementType.SELECT:
        hint = " A PIVOT needs its columns: pivot ... on x in ('a', 'b')." if kind.name.startswith("MULTI") else ""
        raise ConfigError(ONLY_READS + hint)
    return _read_through(_parsed(connection, text), views)


def _parsed(connection: duckdb.DuckDBPyConnection, text: str) -> dict[str, Any]:
    answer = connection.execute("select json_serialize_sql(?::varchar)", [text]).fetchall()
    try:
        tree = json.loads(answer[0][0])
    except RecursionError:
        raise ConfigError("The statement is nested too deeply.") from None
    if tree.get("error") is not False:
        raise ConfigError(f"{ONLY_READS} ({tree.get('error_message', 'it cannot be read')})")
    return tree


def _read_through(tree: dict[str, Any], views: Sequence[str]) -> list[str]:
    parts = list(_objects(tree))
    own = {str(e["key"]).lower() for p in parts for e in _entries(p.get("cte_map"))}
    own |= {str(p["cte_name"]).lower() for p in parts if p.get("cte_name")}
    named: set[str] = set()
    for part in parts:
        kind = part.get("type")
        if isinstance(kind, str) and kind.endswith("_NODE") and kind not in _NODES:
            raise ConfigError(ONLY_READS)
        function = part.get("function_name")
        if isinstance(function, str):
            _check_function(function.lower())
        if kind == "TABLE_FUNCTION":
            called = str((part.get("function") or {}).get("function_name", "")).lower()
            if called not in _TABLE_FUNCTIONS:
                raise ConfigError(
                    f"{called}() is no view of runs: only they can be read here. Views: {', '.join(views)}."
                )
        elif kind == "BASE_TABLE":
            named |= _check_table(part, own, views)
        elif kind == "SHOW_REF" and not part.get("query"):
            if part.get("table_name") not in _SHOWN:
                raise ConfigError("Only `show tables`, `describe VIEW` and `summarize VIEW` show something here.")
            named |= set(views)
    return [v for v in views if v in named]


def _check_function(name: str) -> None:
    if _FUNCTIONS.fullmatch(name):
        raise ConfigError(f"{name}() is not possible here: only what runs hold can be read.")


def _check_table(part: dict[str, Any], own: set[str], views: Sequence[str]) -> set[str]:
    name, schema = str(part.get("table_name")), str(part.get("schema_name") or "").lower()
    if part.get("catalog_name") or schema not in ("", "main", "information_schema"):
        raise ConfigError(f"There is no schema {schema!r}: views are named alone, e.g. {views[0]}.")
    if schema == "information_schema":
        if name.lower() not in ("tables", "columns"):
            raise ConfigError("Of information_schema there are tables and columns.")
        return set(views)
    if name.lower() in views:
        return {name.lower()}
    if name.lower() in own:
        return set()
    near = difflib.get_close_matches(name.lower(), views, 3, 0.6)
    meant = f" Did you mean {' or '.join(near)}?" if near else ""
    raise ConfigError(
        f"A view {name!r} does not exist.{meant} Views: {', '.join(views)} (columns: `immunocast tables`, or describe "
        f"{views[0]})."
    )


def _entries(cte_map: Any) -> list[dict[str, Any]]:
    return (cte_map or {}).get("map") or []


def _objects(tree: Any) -> Iterator[dict[str, Any]]:
    waiting = [tree]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield part
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)
