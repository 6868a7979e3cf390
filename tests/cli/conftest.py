"""The installed command, called in this process."""

from dataclasses import dataclass

import pytest


@dataclass
class Done:
    """What a command left behind."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def call(tmp_path, monkeypatch, typed_command):
    """A command in an empty folder: (runs folder, words) -> what it left."""
    monkeypatch.chdir(tmp_path)
    return lambda runs, *words: Done(*typed_command(*words, "--runs-dir", runs))
