"""Spellings that are read without being coded: RECIST categories, event statuses, and sex.

Only what cannot mean anything else stands here. "NR" (no response? not reached? not reported?), "MR" (mixed
response), unconfirmed responses and the bidimensional categories of irRC are left out on purpose: a mapping codes
them, or leaves them out. Whatever is read by this table is told in the checks (IC-FILE-006).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

#: Best overall response (RECIST 1.1, Eisenhauer 2009; iRECIST's iCR, iPR, iSD and iCPD, Seymour 2017).
RECIST: dict[str, tuple[str, ...]] = {
    "CR": ("cr", "icr", "complete response", "complete remission", "confirmed complete response"),
    "PR": ("pr", "ipr", "partial response", "partial remission", "confirmed partial response"),
    "SD": ("sd", "isd", "stable disease", "stable"),
    "PD": (
        "pd",
        "icpd",
        "progressive disease",
        "progressed disease",
        "disease progression",
        "progression of disease",
        "progression",
        "progressed",
        "pod",
        "clinical progression",
        "clinical pd",
    ),
    "NE": (
        "ne",
        "not evaluable",
        "non evaluable",
        "nonevaluable",
        "inevaluable",
        "unevaluable",
        "not assessable",
        "non assessable",
    ),
}

#: What may follow "POD" or "PD" after a slash or dash: where, or how, the progression was seen.
_PROGRESSION_AT = (
    *("death", "clinical", "radiographic", "local", "distant", "new", "lesion", "lesions"),
    *("brain", "cns", "bone", "liver", "lung", "node", "nodes", "nodal", "ln", "adrenal", "skin", "pleura"),
    "peritoneum",
)

#: Status words of each event column; the flag is 1 for an event.
_COMMON = {"event": 1, "censored": 0, "censor": 0, "no event": 0, "event free": 0}
_PROGRESSED = (
    *("progressed", "progression", "progress", "pd", "pod"),
    *("relapsed", "relapse", "recurred", "recurrence"),
)
EVENTS: dict[str, Mapping[str, int]] = {
    "os_event": _COMMON
    | dict.fromkeys(("dead", "deceased", "died", "death"), 1)
    | dict.fromkeys(("alive", "living", "lives"), 0),
    "pfs_event": _COMMON
    | dict.fromkeys((*_PROGRESSED, "recurred progressed", "progressed or died", "death", "dead", "deceased"), 1)
    | dict.fromkeys(("no progression", "not progressed", "progression free", "disease free", "diseasefree"), 0),
}

_SEX = {"female": ("f", "w", "woman"), "male": ("m", "man")}

_BY_TEXT: dict[str, dict[str, Any]] = {
    "bor": {text: value for value, texts in RECIST.items() for text in texts},
    "sex": {text: value for value, texts in _SEX.items() for text in texts},
    **{name: dict(words) for name, words in EVENTS.items()},
}


def plain(text: str) -> str:
    """Lower case, words with single spaces between them.

    >>> plain("Progressive_Disease.")
    'progressive disease'
    """
    return re.sub(r"[\W_]+", " ", text.casefold()).strip()


def spelled(column: str, text: str) -> Any:
    """Value of the vocabulary that a text spells; None where the table does not know it or is not sure.

    >>> spelled("bor", "POD/brain"), spelled("bor", "Partial Response (PR)"), spelled("bor", "NR")
    ('PD', 'PR', None)
    >>> spelled("os_event", "1:DECEASED"), spelled("os_event", "1:LIVING")
    (1, None)
    """
    known = _BY_TEXT.get(column)
    if known is None:
        return None
    words = plain(text)
    if words in known:
        return known[words]
    if column == "bor":
        return _recist(text, known)
    if column in EVENTS and (match := re.fullmatch(r"\s*([01])\s*[:=-]\s*(\S.*)", text)):
        flag = known.get(plain(match[2]))
        return flag if flag == int(match[1]) else None  # "1:LIVING" contradicts itself
    return None


def names_status(column: str, text: str) -> bool:
    """Whether a spelling of an event flag names the status, as 'yes' and '1' do not.

    >>> names_status("os_event", "1:DECEASED"), names_status("os_event", "yes")
    (True, False)
    """
    words = plain(re.sub(r"^\s*[01]\s*[:=-]", "", text))
    return words in EVENTS[column] and words not in _COMMON


def _recist(text: str, known: Mapping[str, str]) -> str | None:
    """'POD/brain' (progression, and where), and 'Partial Response (PR)' or 'PR - partial response'."""
    parts = [plain(p) for p in re.split(r"[/()\[\]:;,=|-]", text)]
    parts = [p for p in parts if p]
    if not parts:
        return None
    if parts[0] in ("pod", "pd") and all(w in _PROGRESSION_AT for p in parts[1:] for w in p.split()):
        return "PD"
    found = {known.get(p) for p in parts}
    return found.pop() if len(found) == 1 else None
