"""The command `flow`: participant flow of a cohort and an endpoint, as STROBE and TRIPOD ask for it."""

from __future__ import annotations

import sys
import textwrap
from typing import TYPE_CHECKING, Annotated, Any

import typer

from immunocast.cli._cohort import compose, load
from immunocast.cli._common import Format, FormatOption, app, print_table

if TYPE_CHECKING:
    from immunocast.cohort.outcomes import Words

_WIDTH, _BOX, _STEM = 80, 40, 6
#: Line drawing where the terminal's encoding has none.
_ASCII = str.maketrans("┌┐└┘─│┬┴├▶▼", "++++-|+++>v")


@app.command()
def flow(
    words: Annotated[
        list[str] | None,
        typer.Argument(help="FILE or cohort=NAME, and settings such as endpoint=dcb or endpoint.durable_months=6."),
    ] = None,
    mapping: Annotated[
        str | None, typer.Option(help="Cohort configuration that maps FILE's columns; by default they are named as in "
                                      "the vocabulary.")
    ] = None,
    output: FormatOption = Format.TABLE,
) -> None:  # fmt: skip
    """Show who was read, linked, left out and why, and analysed, for a cohort and an endpoint."""
    from immunocast.cohort.loading import prepare_cohort
    from immunocast.cohort.outcomes import flow_table
    from immunocast.config import endpoint_of, frozen

    cfg = compose(words or [], mapping)
    settings, endpoint = frozen(cfg), endpoint_of(cfg)
    tables = load(cfg)
    prepared = prepare_cohort(
        tables, endpoint=endpoint, features=[], linkage=settings["linkage"], waive=settings["checks"]["waive"]
    )
    if output is not Format.TABLE:
        print_table(flow_table(prepared.flow), output)
        return
    title = f"{tables.provenance.name}, endpoint {endpoint.name}"
    text = flow_text(prepared.flow, endpoint.words, title, synthetic=tables.provenance.synthetic)
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        text = text.translate(_ASCII)
    print(text)


def flow_text(flow: dict[str, Any], words: Words, title: str, *, synthetic: bool = False) -> str:
    """The flow as a diagram of at most 80 columns, a table by cohort, and what is to be told.

    Parameters
    ----------
    flow : what `participant_flow` returns.
    words : of the endpoint.
    title : name of cohort and endpoint.
    synthetic : whether the patients were generated.
    """
    lost, left_out = flow["dropped"], flow["no_endpoint"]
    n_cohorts = len(flow["cohorts"])
    lines = textwrap.wrap(f"{'SYNTHETIC  ' if synthetic else ''}{title}: {words.title}", _WIDTH)
    lines.append("")
    if lost:
        lines += [*_box("Rows in the source", flow["source"], below=True), *_side("Not read", lost)]
    beside = f"in {n_cohorts} cohort{'' if n_cohorts == 1 else 's'}"
    lines += _box("Patients read", flow["read"], above=bool(lost), below=True, beside=beside)
    if flow["linked"]:
        lines += _note(f"{flow['linked']:,} of them are in two cohorts under different ids: never on both sides of a "
                       "split")  # fmt: skip
    lines += _side("Left out", left_out)
    lines += _box("Analysed", flow["analysed"], above=True, below=True)
    events, n = flow["events"], flow["analysed"]
    for name, count in ((words.events, events), (words.others, n - events)):
        share = f", {100 * count / n:.1f} %" if n else ""
        first, *rest = textwrap.wrap(f"{name}: {count:,}{share}", _WIDTH - _STEM - 4)
        lines += [" " * _STEM + ("├─▶ " if name == words.events else "└─▶ ") + first]
        lines += [" " * _STEM + ("│   " if name == words.events else "    ") + line for line in rest]
    lines += ["", *_by_cohort(flow)]
    if flow["flags"]:
        lines += ["", "To be told"]
        for what, count in sorted(flow["flags"].items(), key=lambda item: (-item[1], item[0])):
            lines += textwrap.wrap(f"{what}: {count:,} patients", _WIDTH, initial_indent="  ", subsequent_indent="    ")
    return "\n".join(lines)


def _box(what: str, n: int, *, above: bool = False, below: bool = False, beside: str = "") -> list[str]:
    def edge(left: str, right: str, joint: str, joined: bool) -> str:
        line = "─" * (_BOX - 2)
        at = _STEM - 1
        return left + (line[:at] + joint + line[at + 1 :] if joined else line) + right

    inside = f"│ {what:<{_BOX - 16}}{n:>12,} │"
    return [
        edge("┌", "┐", "┴", above),
        inside + (f"  {beside}" if beside else ""),
        edge("└", "┘", "┬", below),
    ]


def _side(what: str, counts: dict[str, int]) -> list[str]:
    """Who leaves the flow, with the reasons below, the largest first."""
    stem = " " * _STEM
    lines = [f"{stem}├─▶ {what}: {sum(counts.values()):,}"]
    for reason, n in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        number = f"{n:,}"
        first, *rest = textwrap.wrap(reason, _WIDTH - _STEM - 16) or [""]
        lines.append(f"{stem}│   {number:>8}  {first}")
        lines += [f"{stem}│   {'':>8}  {line}" for line in rest]
    return lines


def _note(words: str) -> list[str]:
    return [f"{' ' * _STEM}│   {line}" for line in textwrap.wrap(words, _WIDTH - _STEM - 4)]


def _by_cohort(flow: dict[str, Any]) -> list[str]:
    """A line a cohort: counts, share of events, median follow-up in months by reverse Kaplan-Meier."""
    times = [t for t in ("os", "pfs") if t in flow["follow_up"]]
    heads = ["read", "left out", "analysed", "events", "%", *(f"FU {t.upper()}" for t in times)]
    widths = [7, 9, 9, 8, 6, *(8 for _ in times)]
    name_width = _WIDTH - sum(widths)
    lines = [f"{'Cohort':<{name_width}}" + "".join(f"{h:>{w}}" for h, w in zip(heads, widths, strict=True))]
    for part in [*flow["cohorts"], *([{**flow, "cohort_id": "All"}] if len(flow["cohorts"]) > 1 else [])]:
        n, events = part["analysed"], part["events"]
        cells = [
            f"{part['read']:,}",
            f"{part['read'] - n:,}",
            f"{n:,}",
            f"{events:,}",
            f"{100 * events / n:.1f}" if n else "",
            *(_months(part["follow_up"].get(t)) for t in times),
        ]
        first, *rest = textwrap.wrap(str(part["cohort_id"]), name_width - 1) or [""]
        lines.append(f"{first:<{name_width}}" + "".join(f"{c:>{w}}" for c, w in zip(cells, widths, strict=True)))
        lines += rest
    if times:
        lines.append("FU: median follow-up in months (reverse Kaplan-Meier); - where not reached.")
    return lines


def _months(about: dict[str, Any] | None) -> str:
    if about is None:
        return ""
    return "-" if about["median_months"] is None else f"{about['median_months']:.1f}"
