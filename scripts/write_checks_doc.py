"""Write docs/checks.md's list of checks from the register; `--check` only says whether it is up to date.

python scripts/write_checks_doc.py [--check]
"""

from __future__ import annotations

import sys
from pathlib import Path

from immunocast.cohort.checks import CHECKS
from immunocast.cohort.checks.registry import FAMILIES

PAGE = Path(__file__).parents[1] / "docs/checks.md"
BEGIN = "<!-- written by scripts/write_checks_doc.py from the register of checks -->"
END = "<!-- end of the written part -->"


def written() -> str:
    """The list of all checks as Markdown."""
    lines = [BEGIN, "", "| code | severity | finding |", "|---|---|---|"]
    by_family = {f: [c for c in CHECKS.values() if c.family == f] for f in FAMILIES}
    ordered = [c for checks in by_family.values() for c in sorted(checks, key=lambda c: c.code)]
    lines += [f"| [{c.code}](#{c.code.lower()}) | {c.severity} | {c.title} |" for c in ordered]
    for family, head in FAMILIES.items():
        lines += ["", f"### {head}"]
        for c in sorted(by_family[family], key=lambda c: c.code):
            lines += [
                "",
                f"#### {c.code}",
                "",
                f"**{c.severity}: {c.title}.** {c.means}",
                "",
                f"- Why it matters: {c.why}",
                f"- Mend: {c.mend}",
                f"- Rule: {c.rule}",
                f"- Waive: `waive: {{{c.code}: reason}}` in the cohort's YAML, or `+checks.waive.{c.code}='reason'`.",
            ]
    return "\n".join([*lines, "", END])


def page(text: str) -> str:
    """The page with its written part brought up to date."""
    if BEGIN not in text or END not in text:
        raise SystemExit(f"{PAGE} lacks the marks {BEGIN!r} and {END!r}.")
    return text[: text.index(BEGIN)] + written() + text[text.index(END) + len(END) :]


def main() -> None:
    """Write the page, or exit with 1 where it differs from the register."""
    before = PAGE.read_text()
    after = page(before)
    if "--check" in sys.argv[1:]:
        if before != after:
            raise SystemExit("docs/checks.md is not what the register says: run python scripts/write_checks_doc.py")
    else:
        PAGE.write_text(after)


if __name__ == "__main__":
    main()
