"""Suggestions for error messages: the nearest known names. Hints are shown to people and never applied."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from immunocast.cohort.vocabulary import TUMOR_TYPES

#: Words of diagnoses -> tumour types that a person would look for; "lung" alone does not tell which.
_TUMOR_WORDS = {
    "non-small": ("NSCLC",),
    "lung": ("NSCLC", "SCLC"),
    "small cell": ("SCLC",),
    "kidney": ("Renal",),
    "rcc": ("Renal",),
    "urothelial": ("Bladder",),
    "skin": ("Melanoma",),
    "hnscc": ("Head & Neck",),
    "head": ("Head & Neck",),
    "colon": ("Colorectal",),
    "rect": ("Colorectal",),
    "crc": ("Colorectal",),
    "stomach": ("Gastric",),
    "oesoph": ("Esophageal",),
    "esoph": ("Esophageal",),
    "liver": ("Hepatobiliary",),
    "hcc": ("Hepatobiliary",),
    "bili": ("Hepatobiliary",),
    "chol": ("Hepatobiliary",),
    "uter": ("Endometrial",),
    "ovar": ("Ovarian",),
    "pancrea": ("Pancreatic",),
}


def _plain(word: str) -> str:
    return re.sub(r"[^a-z0-9]", "", word.casefold())


def closest(word: str, options: Iterable[str], n: int = 3) -> list[str]:
    """The options that look most like a word, best first; case and punctuation don't count.

    >>> closest("tmb", ["tmb_mut_mb", "nlr"])
    ['tmb_mut_mb']
    """
    by_plain: dict[str, str] = {}
    for option in options:
        by_plain.setdefault(_plain(option), option)
    wanted = _plain(word)
    found = difflib.get_close_matches(wanted, by_plain, n=n, cutoff=0.6)
    if len(wanted) >= 3:
        found += [p for p in by_plain if p not in found and len(p) >= 3 and (wanted in p or p in wanted)]
    return [by_plain[p] for p in found[:n]]


def did_you_mean(word: str, options: Iterable[str]) -> str:
    """A sentence with the nearest options, '' where nothing is near.

    >>> did_you_mean("albumine", ["Albumin", "NLR"])
    "Did you mean 'Albumin'?"
    """
    found = closest(word, options)
    return f"Did you mean {' or '.join(repr(f) for f in found)}?" if found else ""


def closest_tumor_types(diagnosis: str) -> list[str]:
    """Tumour types of the vocabulary that a diagnosis may mean.

    >>> closest_tumor_types("Lung adenocarcinoma")
    ['NSCLC', 'SCLC']
    """
    text = diagnosis.casefold()
    by_word = [t for word, types in _TUMOR_WORDS.items() if word in text for t in types]
    return list(dict.fromkeys([*by_word, *closest(diagnosis, TUMOR_TYPES)]))[:3]
