"""The command `check`: what is suspicious in a file or cohort, with codes and mends."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from immunocast.cli._cohort import compose, is_setting
from immunocast.cli._common import Format, FormatOption, app, print_table
from immunocast.errors import ConfigError, NotFoundError, Problem

if TYPE_CHECKING:
    import pandas as pd

    from immunocast.cohort.checks import Check
    from immunocast.cohort.table import CohortTables

_HEADS = {"error": "ERRORS", "warning": "WARNINGS", "info": "FOR INFORMATION"}
_COLOURS = {"error": typer.colors.RED, "warning": typer.colors.YELLOW, "info": typer.colors.BLUE}
#: How many patient ids are shown, and from how many on none is: then it is no matter of single patients.
_SHOWN, _MANY = 6, 20
#: Confidence under which a column that was placed by inference is named as doubtful.
_SURE = 0.8


@app.command()
def check(
    words: Annotated[
        list[str] | None,
        typer.Argument(help="FILE or cohort=NAME, and settings such as endpoint=dcb or +checks.waive.CODE=REASON."),
    ] = None,
    mapping: Annotated[
        str | None, typer.Option(help="Cohort configuration that maps FILE's columns; inferred where they have "
                                      "other names than the vocabulary's.")
    ] = None,
    explain: Annotated[str | None, typer.Option(metavar="CODE", help="Explain one check, and do nothing else.")] = None,
    sheet: Annotated[str | None, typer.Option(help="Sheet of a workbook with several.")] = None,
    output: FormatOption = Format.TABLE,
) -> None:  # fmt: skip
    """Check a cohort: imputed values, wrong units, inverted flags, leaks, duplicates and more, each with its mend.

    Exit code 0 without errors, 3 where an error is found that is not waived, 2 where nothing can be read.
    """
    if explain is not None:
        print(explained(explain, _width()))
        return
    from immunocast.cohort.loading import inspect_cohort
    from immunocast.config import endpoint_of, frozen

    tables, problems, cfg, told = _read(words or [], mapping, sheet)
    settings = frozen(cfg)
    found = inspect_cohort(
        tables,
        endpoint=endpoint_of(cfg),
        linkage=settings["linkage"],
        waive=settings["checks"]["waive"],
        problems=problems,
    )
    if output is Format.TABLE:
        n = len(tables.cohort)
        title = f"{tables.provenance.name}: {n:,} patient{'' if n == 1 else 's'}"
        print(report(found, title, told, _width(), colour=sys.stdout.isatty()))
    else:
        for line in told:
            print(line, file=sys.stderr)
        print_table(_with_texts(found), output)
    if ((found["severity"] == "error") & found["waived_because"].isna()).any():
        raise typer.Exit(3)


def _width() -> int:
    return max(60, min(120, shutil.get_terminal_size((100, 24)).columns))


def _read(
    words: list[str], mapping: str | None, sheet: str | None
) -> tuple[CohortTables, list[Problem], Any, list[str]]:
    """Tables, what the reader refuses, the configuration, and what to say of how the file was read."""
    from immunocast.cohort.tabular import TabularCohort
    from immunocast.config import build

    files = [w for w in words if not is_setting(w)]
    told: list[str] = []
    if not words:
        raise ConfigError("Name a file, e.g. `immunocast check patients.csv`, or a cohort, e.g. cohort=loris.")
    if files and mapping is None and _needs_inference(Path(files[0]), sheet):
        cfg = compose([w for w in words if is_setting(w)])
        reader: Any
        reader, told = _inferred(Path(files[0]), sheet)
    else:
        if sheet is not None:
            raise ConfigError("--sheet is for files whose mapping is inferred; a mapping names its sheets itself.")
        cfg = compose(words, mapping)
        reader = build(cfg.cohort, "cohort")
    if isinstance(reader, TabularCohort):
        tables, problems = reader.load_what_can_be_read()
    else:
        tables, problems = reader.load(), []
    return tables, problems, cfg, told


def _needs_inference(path: Path, sheet: str | None) -> bool:
    """Whether a file carries so few of the vocabulary's names that a mapping has to be inferred."""
    from immunocast.cohort.sources import read_tables
    from immunocast.cohort.vocabulary import VOCABULARY
    from immunocast.errors import DataError

    if path.is_dir():
        return False
    if not path.exists():
        raise NotFoundError(f"There is no file {path}. For a known cohort write cohort={path}.")
    if sheet is not None:
        return True
    try:
        tables, _ = read_tables(path)
    except DataError:
        return True  # told apart by the inference, which also tries other delimiters and encodings
    named = [h for t in tables for h in map(str, t.frame.columns) if h in VOCABULARY]
    return "patient_id" not in named or len(named) < 3


def _inferred(path: Path, sheet: str | None) -> tuple[Any, list[str]]:
    """A reader by an inferred mapping, and sentences that say how sure it is."""
    from immunocast.cohort.infer import propose_mapping
    from immunocast.cohort.tabular import TabularCohort

    proposal = propose_mapping(path, sheet)
    placed = sorted(proposal.placed, key=lambda p: p.confidence)
    doubtful = [f"{p.name} from {p.header!r} ({p.confidence:.0%})" for p in placed if p.confidence < _SURE]
    told = [
        f"No mapping was given: it was inferred. {len(placed)} columns were placed, {len(proposal.unplaced)} were not. "
        f"`immunocast map {path.name}` shows and writes the mapping; correct it, then check with --mapping."
    ]
    if placed:
        listed = ", ".join(f"{p.name} from {p.header!r}" for p in sorted(placed, key=lambda p: -p.confidence))
        told.append(f"Placed: {listed}.")
    if doubtful:
        told.append(f"Doubtful: {'; '.join(doubtful)}.")
    return TabularCohort(name=path.stem, file=path.absolute(), **proposal.mapping), told


# -- what is printed -----------------------------------------------------------------------------------------


def explained(code: str, width: int) -> str:
    """The documentation of one check.

    Raises
    ------
    ConfigError
        Where there is no such check.
    """
    from immunocast.cohort.checks import CHECKS
    from immunocast.cohort.hints import did_you_mean

    found = CHECKS.get(code.upper())
    if found is None:
        hint = did_you_mean(code.upper(), CHECKS) or f"Codes: {', '.join(sorted(CHECKS))}."
        raise ConfigError(f"There is no check {code!r}. {hint}")
    lines = [*_filled(f"{found.code} ({found.severity}): {found.title}", width, "", "  "), ""]
    texts = {"Means": found.means, "Why it matters": found.why, "Mend": found.mend, "Rule": found.rule}
    for head, text in texts.items():
        lines += _filled(text.replace("`", ""), width, f"{head}: ", "  ")
    lines += _filled(
        f"in the cohort's YAML, waive: {{{found.code}: why it is no problem}}, or {found.code}:COLUMN; for one run "
        f"+checks.waive.{found.code}='why it is no problem'",
        width,
        "Waive: ",
        "  ",
    )
    return "\n".join(lines)


def report(found: pd.DataFrame, title: str, told: list[str], width: int, *, colour: bool = False) -> str:
    """Findings by severity as text of at most `width` columns: code, cohort, column, n, message, mend.

    Parameters
    ----------
    found : rows of the checks table.
    title : what was checked.
    told : sentences that go before the findings.
    width : of the text.
    colour : colour the headings for a terminal.
    """
    from immunocast.cohort.checks import CHECKS

    lines = [title, *(line for t in told for line in _filled(t, width))]
    waived = found["waived_because"].notna()
    for severity, head in _HEADS.items():
        rows = found[(found["severity"] == severity) & ~waived].to_dict("records")
        if rows:
            lines += ["", _painted(f"{head} ({len(rows)})", severity, colour)]
            lines += _listed(rows, CHECKS, width)
    rows = found[waived].to_dict("records")
    if rows:
        lines += ["", f"WAIVED ({len(rows)})", *_listed(rows, CHECKS, width)]
    counts = {s: int(((found["severity"] == s) & ~waived).sum()) for s in _HEADS}
    lines += ["", _summary(counts, int(waived.sum()))]
    if any(counts.values()):
        lines.append("`immunocast check --explain CODE` tells more of a check.")
    return "\n".join(lines)


def _listed(rows: list[dict[Hashable, Any]], checks: dict[str, Check], width: int) -> list[str]:
    import pandas as pd

    lines: list[str] = []
    for code in sorted({r["code"] for r in rows}):
        same = [r for r in rows if r["code"] == code]
        for row in same:
            where = [str(row[k]) for k in ("cohort_id", "column") if pd.notna(row[k])]
            head = "  ".join([code, *where, *([f"n = {row['n']:,}"] if row["n"] else [])])
            lines += _filled(head, width, "", "    ")
            lines += _filled(str(row["message"]), width, "    ", "    ")
            ids = str(row["rows"]).split(";") if pd.notna(row["rows"]) and row["rows"] else []
            if ids and len(ids) < _MANY:
                more = " and more" if row["n"] > len(ids[:_SHOWN]) else ""
                lines += _filled(f"Patients: {', '.join(ids[:_SHOWN])}{more}", width, "    ", "    ")
            if pd.notna(row["waived_because"]):
                lines += _filled(f"Waived because: {row['waived_because']}", width, "    ", "    ")
        if code in checks and checks[code].severity != "info":
            lines += _filled(f"Mend: {checks[code].mend.replace('`', '')}", width, "    ", "    ")
    return lines


def _summary(counts: dict[str, int], waived: int) -> str:
    def words(n: int, what: str) -> str:
        return f"{n} {what}{'' if n == 1 else 's'}"

    text = f"{words(counts['error'], 'error')}, {words(counts['warning'], 'warning')}, {counts['info']} for information"
    return text + (f", {waived} waived" if waived else "") + ("." if counts["error"] else ": nothing stops a run.")


def _filled(text: str, width: int, first: str = "", later: str = "") -> list[str]:
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=later, break_on_hyphens=False, break_long_words=True
    )


def _painted(text: str, severity: str, colour: bool) -> str:
    return typer.style(text, fg=_COLOURS[severity], bold=True) if colour else text


def _with_texts(found: pd.DataFrame) -> pd.DataFrame:
    """The checks table with title and mend of each finding, for programs."""
    from immunocast.cohort.checks import CHECKS

    texts = {key: [getattr(CHECKS[c], key) if c in CHECKS else "" for c in found["code"]] for key in ("title", "mend")}
    return found.assign(**texts)
