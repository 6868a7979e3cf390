"""A model's card in a run folder, as publishing sees it: its files, and the lines that a version's page begins with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from immunocast.store.markdown import md
from immunocast.store.runfolder import RunFolder

#: Where a card lies among the artifacts of a logged model and of a model's run.
CARD = "card"
_INDEX = "card.json"


def card_folder(run: RunFolder, model: str) -> Path | None:
    """Folder of a model's card, None where the run has none: made before there were cards, or not a learned model."""
    folder = run.path / "cards" / model
    return folder if (folder / _INDEX).is_file() else None


def card_files_of(folder: Path) -> list[Path]:
    """Files of a card in a fixed order; what was left of an interrupted write is none of them."""
    return sorted(f for f in folder.rglob("*") if f.is_file() and not f.name.startswith("."))


def card_lines(folder: Path) -> str:
    """Markdown: the verdict first, then where the card is and how far TRIPOD+AI is evidenced.

    Parameters
    ----------
    folder : a card's folder.
    """
    about = _read(folder)
    lines = [f"**{md(about.get('answer') or 'No verdict was recorded.')}**"]
    lines += [md(about[key]) for key in ("comparison", "calibration", "claim") if about.get(key)]
    items = about.get("tripod_ai") or {}
    told = ""
    if "told" in items:
        told = f"; [TRIPOD+AI]({CARD}/tripod_ai.csv), {items.get('items')} items: {items['told']}"
    lines.append(f"[Model card]({CARD}/model_card.html), also among the artifacts of this model{told}.")
    return "\n\n".join(lines)


def _read(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
