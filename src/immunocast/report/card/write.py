"""Writes the cards of a run: evidence first, then the checklists judged by it, then the pages, then the index."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Template

from immunocast.errors import NotFoundError
from immunocast.report import text
from immunocast.report.card import markdown, probast
from immunocast.report.card.checklist import INDEX, Row, checklist, counts, told
from immunocast.report.card.evidence import evidence, summary
from immunocast.report.card.facts import Facts, RunFacts
from immunocast.report.card.plots import Plot
from immunocast.report.card.sections import Bullets, Paragraph, Section, sections
from immunocast.report.card.statements import Statements, read_statements
from immunocast.report.page import environment, style_sheet
from immunocast.report.sections import Sheet
from immunocast.store.runfolder import RunFolder

#: Folder of the cards in a run folder, a folder a model below it.
CARDS = "cards"
HTML, MARKDOWN, TRIPOD, PROBAST = "model_card.html", "model_card.md", "tripod_ai.csv", "probast_ai.csv"
FORMAT = 1
_IN_MLFLOW = (
    "Paths are relative to this card. Where a page is shown inside MLflow its links can't be followed: open the file "
    "of that path in the tree of artifacts, below card/."
)
_EVIDENCED = (
    "An item counts as evidenced only where each file that it needs is among the files of this very version, "
    "unchanged; immunocast card judges that anew at any time. What no run can record needs the author, and an author’s "
    "statement is shown as one and is no evidence."
)


def write_cards(
    run: RunFolder, statements: Statements | None = None, *, author: str | Path | None = None
) -> list[Path]:
    """Write a card for each learned model that has a final bundle, in place of those that are there.

    Parameters
    ----------
    run : a run folder with a manifest. A table that is absent costs its part, which then says why.
    statements : the author's, shown as theirs.
    author : file to read them from (`read_statements`), in their place.

    Returns
    -------
    Folders of the cards, `<run>/cards/<model>`. The same run gives the same bytes. `<run>/cards` exists afterwards even
    where no model was learned.

    Raises
    ------
    NotFoundError
        Where the run has no manifest, or the author's file is not there.
    ConfigError
        Where the author's file cannot be used.
    """
    if author is not None:
        statements = read_statements(Path(author))
    shared = RunFacts(run)
    folder = run.path / CARDS
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return [_write(Facts(shared, model), folder / model, statements or Statements()) for model in shared.learned]


def write_card(run: RunFolder, model: str, statements: Statements | None = None, target: Path | None = None) -> Path:
    """Write the card of one model; `target` is its folder, None for its place in the run folder.

    Raises
    ------
    NotFoundError
        Where the run has no such model, or no final bundle of it.
    """
    shared = RunFacts(run)
    if model not in shared.learned:
        known = ", ".join(shared.learned) or "none"
        raise NotFoundError(
            f"Run {run.run_id} has no learned model {model!r} with a final bundle, so there is no card. It has: "
            f"{known}."
        )
    target = run.path / CARDS / model if target is None else target
    return _write(Facts(shared, model), target, statements or Statements())


def _write(facts: Facts, target: Path, statements: Statements) -> Path:
    unfinished = target.with_name(f".{target.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    (unfinished / "evidence").mkdir(parents=True)
    digests = {}
    for name, content in sorted(evidence(facts).items()):
        data = as_bytes(content, synthetic=facts.view.synthetic)
        (unfinished / "evidence" / name).write_bytes(data)
        digests[f"evidence/{name}"] = hashlib.sha256(data).hexdigest()
    index: dict[str, Any] = {
        "format": FORMAT,
        "model": facts.model,
        "run_id": facts.run.run_id,
        **summary(facts),
        "files": digests,
        "bundle": {"digest": facts.bundle.digest, "files": facts.bundle.files},
        "statements": statements.to_dict(),
    }
    rows = _judged(unfinished, facts, statements, index)
    signals = probast.signals(facts)
    shown = [_with_files(section, digests) for section in sections(facts)]
    pages = {
        HTML: _html(facts, shown, rows, signals, statements),
        MARKDOWN: _markdown(facts, shown, rows, signals, statements),
        TRIPOD: as_bytes(tripod_frame(rows), synthetic=facts.view.synthetic).decode(),
        PROBAST: as_bytes(probast_frame(signals), synthetic=facts.view.synthetic).decode(),
    }
    for name, page in pages.items():
        (unfinished / name).write_bytes(page.encode())
        digests[name] = hashlib.sha256(page.encode()).hexdigest()
    index["tripod_ai"] = {"items": len(rows), "told": told(rows), **counts(rows)}
    (unfinished / INDEX).write_text(json.dumps(index, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    shutil.rmtree(target, ignore_errors=True)
    unfinished.rename(target)
    return target


def _judged(folder: Path, facts: Facts, statements: Statements, index: Mapping[str, Any]) -> list[Row]:
    """The checklist while the card lies under another name; its bundle is looked up at its place in the run folder."""
    return checklist(folder, statements, index, bundle=facts.run.bundle_path(facts.model, "final"))


def _with_files(section: Section, files: Mapping[str, str]) -> Section:
    """Without links to files that this card has no reason to have."""
    return replace(section, parts=[replace(p, links=[k for k in p.links if k.path in files]) for p in section.parts])


def as_bytes(content: pd.DataFrame | dict[str, Any] | str, *, synthetic: bool) -> bytes:
    """A file of a card: frames as CSV with six digits, dicts as JSON; where no patient exists each says so."""
    if isinstance(content, str):
        return content.encode()
    if isinstance(content, dict):
        plain = {"synthetic": True, **content} if synthetic else content
        return (json.dumps(plain, indent=1, ensure_ascii=False, default=_plain) + "\n").encode()
    frame = content.assign(data="synthetic, no patient exists") if synthetic else content
    return frame.to_csv(index=False, float_format="%.6g", lineterminator="\n").encode()


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    return str(value)


def tripod_frame(rows: Sequence[Row]) -> pd.DataFrame:
    """TRIPOD+AI as a table: a row an item."""
    return pd.DataFrame(
        [
            {
                "item": row.item.number,
                "asks": row.item.asks,
                "status": str(row.status),
                "evidence": "; ".join(row.paths),
                "missing": "; ".join(row.lost),
                "needs_author": row.needs,
                "author_statement": row.statement,
                "section": row.item.section,
            }
            for row in rows
        ]
    )


def probast_frame(signals: Sequence[probast.Signal]) -> pd.DataFrame:
    """PROBAST+AI as a table: a row a fact, and for each domain one that says what needs the author."""
    return pd.DataFrame(
        [
            {"domain": s.domain, "phase": s.phase, "bearing": str(s.bearing), "fact": s.fact, "evidence": s.path}
            for s in signals
        ]
        + [
            {
                "domain": d,
                "phase": p,
                "bearing": "needs the author",
                "fact": "signalling questions and ratings",
                "evidence": "",
            }
            for d in probast.DOMAINS
            for p in probast.PHASES
        ]
    )


def _about(facts: Facts, rows: Sequence[Row], statements: Statements) -> dict[str, str]:
    """The sentences that both pages print above the checklists."""
    return {
        "tripod": f"{len(rows)} items of TRIPOD+AI: {told(rows)}.",
        "rule": _EVIDENCED,
        "by": f"Author’s statements are by {statements.by}." if statements.by and statements.items else "",
        "probast": probast.NOTE,
        "paths": _IN_MLFLOW,
    }


def _html(
    facts: Facts,
    shown: Sequence[Section],
    rows: Sequence[Row],
    signals: Sequence[probast.Signal],
    statements: Statements,
) -> str:
    said = summary(facts)
    return _template().render(
        css=style_sheet(),
        facts=facts,
        title=said["title"],
        banner=text.SYNTHETIC_BANNER if facts.view.synthetic else "",
        sections=shown,
        rows=rows,
        signals=signals,
        domains=probast.DOMAINS,
        phases=probast.PHASES,
        about=_about(facts, rows, statements),
        kind=_kind,
    )


@cache
def _template() -> Template:
    return environment().get_template("model_card.html.j2")


def _kind(block: object) -> str:
    return {Paragraph: "paragraph", Bullets: "bullets", Sheet: "sheet", Plot: "plot"}[type(block)]


def _markdown(
    facts: Facts,
    shown: Sequence[Section],
    rows: Sequence[Row],
    signals: Sequence[probast.Signal],
    statements: Statements,
) -> str:
    about = _about(facts, rows, statements)
    out: list[str] = []
    if facts.view.synthetic:
        out += [f"**{text.SYNTHETIC_BANNER}**", ""]
    out += [
        markdown.heading(1, f"Model card. {summary(facts)['title']}"),
        "",
        f"*{markdown.escaped(about['paths'])}*",
        "",
    ]
    for section in shown:
        out += markdown.lines(section)
    out += [markdown.heading(2, "TRIPOD+AI"), "", *_paragraphs(about["tripod"], about["rule"], about["by"])]
    out += ["| Item | Asks for | Status | Evidence | Still to be said | Author’s statement |", "|" + " --- |" * 6]
    for row in rows:
        links = ", ".join("bundle of this version" if p == "bundle" else markdown.link(p) for p in row.paths)
        lost = "".join(f" **{markdown.escaped(name)}**" for name in row.lost)
        cells = [row.item.number, row.item.asks, str(row.status)]
        out.append(
            f"| {' | '.join(map(markdown.escaped, cells))} | {links}{lost} | {markdown.escaped(row.needs)} | "
            f"{markdown.escaped(row.statement)} |"
        )
    out += ["", markdown.heading(2, "PROBAST+AI by domain"), "", *_paragraphs(about["probast"])]
    for domain in probast.DOMAINS:
        for phase in probast.PHASES:
            out += [markdown.heading(3, f"{text.sentence(domain)}, {phase}"), ""]
            out += [
                f"- {s.bearing}: {markdown.escaped(s.fact)}" + (f" {markdown.link(s.path)}" if s.path else "")
                for s in signals
                if (s.domain, s.phase) == (domain, phase)
            ]
            out.append("")
    return markdown.joined(out)


def _paragraphs(*words: str) -> list[str]:
    return [line for said in words if said for line in (markdown.escaped(said), "")]
