"""A proposal as YAML with comments, for a person to correct."""

from __future__ import annotations

from typing import Any

from immunocast.cohort.infer.candidate import SURE
from immunocast.cohort.infer.propose import Proposal
from immunocast.cohort.yaml_text import yaml_text

#: Comments keep to one line each, whatever a header or cell holds.
_WIDTH = 110


def to_yaml(proposal: Proposal, name: str) -> str:
    """The text of a cohort configuration: settings, and a line for each column with its confidence and reason.

    Parameters
    ----------
    proposal : of `propose_mapping`.
    name : of the cohort.
    """
    mapping = proposal.mapping
    doubtful = sum(bool(p.doubts) or p.confidence < SURE for p in proposal.placed)
    lines = [
        f"# A proposal for {_comment(proposal.path.name)} ({proposal.n_rows} rows), to be corrected: "
        f"{len(proposal.placed)} columns placed, {doubtful} of them to CHECK, {len(proposal.unplaced)} left out.",
        "# Behind each line: how sure it is (0 to 1), and why. The language is described in docs/mapping.md.",
        *(f"# {_comment(note)}" for note in proposal.notes),
        "_target_: immunocast.cohort.tabular.TabularCohort",
        "_convert_: all",
        f"name: {_flow(name)}",
        f"file: {_flow(str(proposal.path.absolute()))}",
        *(f"{key}: {_flow(value)}" for key, value in mapping.items() if key not in ("columns", "sheets")),
    ]
    if "sheets" in mapping:
        lines.append(f"sheets: {_flow(mapping['sheets'])}")
    lines.append("columns:" if proposal.placed else "columns: {}")
    for p in proposal.placed:
        lines += [f"  # CHECK: {_comment(d)}" for d in p.doubts or (("not sure",) if p.confidence < SURE else ())]
        if p.alternatives:
            lines.append(f"  # or: {_comment(', '.join(p.alternatives))}")
        entry = p.header if set(p.spec) == {"source"} else p.spec
        lines.append(f"  {p.name}: {_flow(entry)} # {p.confidence:.2f} {_comment(p.why)}")
    if "tumor_type" not in {p.name for p in proposal.placed}:
        lines.append(
            "  # tumor_type: {value: ...} # no column tells it, and models need it: one type for all, or a source"
        )
    if proposal.unplaced:
        lines += ["", "# Not placed:"]
    for u in proposal.unplaced:
        lines.append(f"#   {_comment(repr(u.header))}: {_comment(u.why)}")
        if u.suggestion is not None:
            lines.append(f"#     {u.suggestion[0]}: {_comment(_flow(u.suggestion[1]), 1000)}")
    return "\n".join(lines) + "\n"


def _flow(value: Any) -> str:
    """A value on one line of YAML."""
    text = yaml_text(value, default_flow_style=True, width=float("inf"))
    return text.removesuffix("\n").removesuffix("\n...").strip()


def _comment(text: str, width: int = 2 * _WIDTH) -> str:
    """Text that stays on one line of a comment."""
    plain = "".join(c if c.isprintable() else " " for c in text)
    return plain if len(plain) <= width else plain[: width - 3] + "..."
