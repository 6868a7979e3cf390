"""The installed command, called in this process."""

import sys
from dataclasses import dataclass

import pytest

from immunocast.cli import main


@dataclass
class Done:
    """What a command left behind."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """Call the entry point as the installed command does, in an empty folder: (runs folder, words) -> what it left."""
    monkeypatch.chdir(tmp_path)

    def run(runs, *words):
        monkeypatch.setattr(sys, "argv", ["immunocast", *map(str, words), "--runs-dir", str(runs)])
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as error:
            code = error.code or 0
        return Done(code, *capsys.readouterr())

    return run
