"""The command `map`: a column mapping proposed for a file that nobody has described."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from immunocast.cli._common import Format, FormatOption, app, check_target, print_table
from immunocast.errors import ConfigError


@app.command(name="map")
def map_file(
    file: Annotated[Path, typer.Argument(help="CSV, TSV, Parquet or XLSX.")],
    sheet: Annotated[str | None, typer.Option(help="Sheet of a workbook with several.")] = None,
    out: Annotated[Path | None, typer.Option(help="YAML to write; without it, the YAML is printed.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the cohort; the file's name by default.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite --out.")] = False,
    output: FormatOption = Format.TABLE,
) -> None:
    """Propose a column mapping for FILE, with how sure each line is, and what could not be placed.

    Correct the YAML, above all the lines under `# CHECK`, then: immunocast check FILE --mapping OUT.
    """
    from immunocast.cohort.infer import propose_mapping, to_yaml

    if out is not None:
        check_target(out, file, "the file to be mapped", "mapping.yaml")
        if out.exists() and not force:
            raise ConfigError(f"{out} is already there, perhaps corrected by hand. Name another file, or use --force.")
    proposal = propose_mapping(file, sheet, mend=True)
    text = to_yaml(proposal, name or re.sub(r"\W+", "_", file.stem).strip("_").lower() or "cohort")
    if out is None:
        print(text, end="")
        return
    out.write_text(text, encoding="utf-8")
    import pandas as pd

    placed = pd.DataFrame(
        [
            {
                "column": p.name,
                "from": p.header,
                "sure": f"{p.confidence:.2f}",
                "why": p.why,
                "check": "; ".join(p.doubts),
            }
            for p in proposal.placed
        ],
        columns=["column", "from", "sure", "why", "check"],
    )
    print_table(placed, output, f"{file.name}: {len(placed)} columns placed, {len(proposal.unplaced)} left out")
    for note in proposal.notes:
        print(f"  {note}", file=sys.stderr)
    print(f"{out}: look at the lines under `# CHECK` and at what is not placed, at the end", file=sys.stderr)
