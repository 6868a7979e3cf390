"""Every command line of docs/analyst.md runs."""

import re
import shlex
import sys
from pathlib import Path

import pytest

from immunocast.cli import main

PAGE = Path(__file__).parents[2] / "docs/analyst.md"
LINES = [
    line
    for block in re.findall(r"```sh\n(.+?)```", PAGE.read_text(), re.DOTALL)
    for line in block.splitlines()
    if line.startswith("immunocast ")
]


def test_there_are_lines():
    assert len(LINES) >= 12


@pytest.mark.parametrize("line", LINES)
def test_a_line_runs(line, small_run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMMUNOCAST_RUNS", str(small_run.path.parent))
    monkeypatch.setattr(sys, "argv", shlex.split(line))
    with pytest.raises(SystemExit) as done:
        main()
    shown = capsys.readouterr()
    assert done.value.code == 0, shown.err
    assert shown.out or "rows" in shown.err
