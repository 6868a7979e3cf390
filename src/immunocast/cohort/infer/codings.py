"""Codings of categories that can be told from the words in the cells.

Each function takes the distinct cells and returns cell -> value of the vocabulary (None for missing) for those that
it understands. What it does not understand is left out, and the caller counts it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from immunocast.cohort.spellings import plain, spelled

#: Words of a diagnosis -> tumour type, in order: the first that is found counts.
_TUMORS = (
    (r"non ?small|nsclc|lung (adeno|squam|large)|luad|lusc|lung cancer non small", "NSCLC"),
    (r"small cell lung|sclc|lung small cell", "SCLC"),
    (r"uveal|melanoma|skcm", "Melanoma"),
    (r"renal|kidney|rcc|kirc|ccrcc", "Renal"),
    (r"urotheli|bladder|blca|ureter|upper tract", "Bladder"),
    (r"head (and |& )?neck|hnscc?|h n\b|oropharyn|laryn|oral cavity|nasopharyn", "Head & Neck"),
    (r"mesotheliom|meso", "Mesothelioma"),
    (r"colorect|colon|rectum|rectal|crc|coad\b|read\b", "Colorectal"),
    (r"gastroesoph|gastro oesoph|gej|geja", None),
    (r"gastric|stomach|stad", "Gastric"),
    (r"o?esophag|escc|esca", "Esophageal"),
    (r"hepatocell|hepatobil|liver cancer|hcc|lihc|biliary|cholangio|gallbladder", "Hepatobiliary"),
    (r"pancrea|pdac|paad", "Pancreatic"),
    (r"endometri|uterine|ucec|uterus", "Endometrial"),
    (r"ovar(y|ian)|hgsoc", "Ovarian"),
    (r"breast|tnbc|brca", "Breast"),
    (r"sarcoma|leiomyo|liposarc|sarc", "Sarcoma"),
    (r"other|unknown primary|cup|merkel|skin squam|cutaneous squam|cscc|thymoma|thymic|prostate|cervi(x|cal)|"
     r"glioma|glioblastoma|gbm|thyroid|anal\b|adrenal|germ cell|lymphoma", "Other"),
)  # fmt: skip

_PD1 = (
    *("nivolumab", "nivo", "pembrolizumab", "pembro", "lambrolizumab", "cemiplimab", "dostarlimab", "camrelizumab"),
    *("toripalimab", "sintilimab", "tislelizumab", "spartalizumab", "penpulimab", "retifanlimab"),
    *("opdivo", "keytruda", "mk3475", "bms936558", "pd1", "antipd1"),
)
_PDL1 = (
    *("atezolizumab", "atezo", "mpdl3280a", "durvalumab", "durva", "medi4736", "avelumab", "bms936559"),
    *("envafolimab", "tecentriq", "imfinzi", "pdl1", "antipdl1"),
)
_CTLA4 = ("ipilimumab", "ipi", "tremelimumab", "treme", "yervoy", "ctla4", "antictla4")
_CHEMO = (
    *("chemo", "chemotherapy", "carboplatin", "cisplatin", "platinum", "pemetrexed", "paclitaxel", "docetaxel"),
    *("gemcitabine", "etoposide", "carbo", "cis", "folfox", "taxane", "nab"),
)
_AGENTS = {
    word: kind
    for kind, words in {"pd1": _PD1, "pdl1": _PDL1, "ctla4": _CTLA4, "chemo": _CHEMO}.items()
    for word in words
}
#: Words beside the drugs that do not change the class.
_DROPPED = {
    *("anti", "mab", "and", "or", "plus", "with", "monotherapy", "mono", "alone", "combo", "combination"),
    *("inhibitor", "blockade", "therapy", "resection", "surgery", "radiotherapy", "q2w", "q3w", "mg", "kg"),
}

YES = {
    *("1", "yes", "y", "true", "positive", "pos", "mutated", "mutant", "mut", "present", "altered", "driver"),
    *("rearranged", "rearrangement", "fusion", "loss", "elevated", "ever"),
}
NO = {
    *("0", "no", "n", "false", "negative", "neg", "wt", "wild_type", "wildtype", "absent", "none", "unaltered"),
    *("normal", "never", "not_present", "no_loss", "not_mutated"),
}


def tumor_types(cells: Iterable[str]) -> dict[str, Any]:
    """Diagnosis -> tumour type; a type of the gastro-oesophageal junction, which is neither, is left out."""
    found: dict[str, Any] = {}
    for cell in cells:
        text = f" {plain(cell)} "
        hit = next((t for words, t in _TUMORS if re.search(rf"\b({words})", text)), None)
        if hit is not None:
            found[cell] = hit
    return found


def drug_classes(cells: Iterable[str]) -> dict[str, Any]:
    """Names of drugs, classes or combinations -> drug class.

    "PD-1/PD-L1" does not tell which; a text with a word that is no drug of the list is left out.
    """
    found: dict[str, Any] = {}
    for cell in cells:
        text = re.sub(
            r"(?i)\b(anti)?[-_ ]?(pd|ctla|mk|bms|medi)[-_ ]?(\(?l?\)?)[-_ ]?(\d+a?)\b",
            lambda m: f" {m[2]}{m[3].strip('()')}{m[4]} ",
            cell,
        )
        words = [w for w in plain(text).split() if w not in _DROPPED]
        kinds = {_AGENTS.get(w) for w in words}
        if not words or None in kinds:
            continue
        targets = kinds - {"chemo"}
        if {"pd1", "pdl1"} <= targets:
            if "ctla4" not in targets:
                found[cell] = "pd1_or_pdl1" if "chemo" not in kinds else "chemo_io"
        elif "ctla4" in targets and len(targets) > 1:
            found[cell] = "pd1_ctla4"
        elif targets:
            found[cell] = "chemo_io" if "chemo" in kinds else targets.pop()
        else:
            found[cell] = "none"
    return found


def sexes(cells: Iterable[str]) -> dict[str, Any]:
    """Words for the sexes."""
    return {c: v for c in cells if (v := c.casefold() if c.casefold() in ("female", "male") else spelled("sex", c))}


def stages(cells: Iterable[str]) -> dict[str, Any]:
    """Roman numerals with or without a letter; M1 (with or without a letter) is IV, M0 is I-III."""
    found: dict[str, Any] = {}
    cells = [*cells]
    if len([c for c in cells if c.strip() in ("0", "1", "2", "3", "4")]) in range(1, 3):
        return {}  # two codes may stand for anything
    for cell in cells:
        text = re.sub(r"^(stage|ajcc|clinical)\s*", "", cell.strip().casefold())
        if match := re.fullmatch(r"(iv|iii|ii|i)\s*[a-d]?\d?", text):
            found[cell] = match[1].upper()
        elif match := re.fullmatch(r"([1-4])[a-d]?", text):
            found[cell] = ("I", "II", "III", "IV")[int(match[1]) - 1]
        elif re.fullmatch(r"m1\s*[a-d]?(\(.*\))?", text) or text in ("metastatic", "advanced/metastatic"):
            found[cell] = "IV"
        elif text in (
            "m0",
            "i or ii",
            "i-iii",
            "i/ii",
            "i-ii",
            "i/ii/iii",
            "i to iii",
            "non-metastatic",
            "nonmetastatic",
        ):
            found[cell] = "I-III"
    return found


def msi(cells: Iterable[str]) -> dict[str, Any]:
    """MSI-high (or mismatch repair deficient) against stable (or proficient); MSI-low is stable."""
    high = (
        r"(msi ?)?(h|high)|msi|unstable|instable|dmmr|deficient|mmr ?d|microsatellite instability high( msi h)?|"
        r"instability high"
    )
    low = r"mss|msi ?l|msi low|(msi )?stable|pmmr|proficient|mmr ?p|microsatellite stable( mss)?"
    found: dict[str, Any] = {}
    for cell in cells:
        text = plain(cell)
        if re.fullmatch(high, text):
            found[cell] = "MSI-H"
        elif re.fullmatch(low, text):
            found[cell] = "MSS"
    return found


def phenotypes(cells: Iterable[str]) -> dict[str, Any]:
    """Inflamed, excluded, desert, also "immune-inflamed" and "infiltrated"."""
    words = {"inflamed": "inflamed", "infiltrated": "inflamed", "excluded": "excluded", "desert": "desert"}
    found: dict[str, Any] = {}
    for cell in cells:
        text = re.sub(r"^(immune|t cell) ", "", plain(cell)).removesuffix(" phenotype")
        if text in words:
            found[cell] = words[text]
    return found


def pdl1_classes(prefix: str, cells: Iterable[str]) -> dict[str, Any]:
    """IC0 to IC3 or TC0 to TC3 -> the vocabulary's classes."""
    found: dict[str, Any] = {}
    for cell in cells:
        if match := re.fullmatch(prefix.casefold() + r"\s*([0-3])\s*\+?(/3)?", cell.strip().casefold()):
            found[cell] = f"{prefix}{match[1]}" if match[1] in "01" else f"{prefix}2+"
    return found


def _by_pattern(cells: Iterable[str], patterns: Mapping[Any, str]) -> dict[str, Any]:
    """Cell -> the value whose pattern it matches as a whole, the first of several; other cells are left out."""
    found: dict[str, Any] = {}
    for cell in cells:
        text = plain(cell)
        value = next((v for v, pattern in patterns.items() if re.fullmatch(pattern, text)), None)
        if value is not None:
            found[cell] = value
    return found


def timings(cells: Iterable[str]) -> dict[str, Any]:
    """Pre-treatment against on-treatment."""
    since = r"( ?(treatment|tx|therapy|pd1|ici|io))?"
    before, during = rf"(pre|baseline|before){since}|pretreatment", rf"(on|edt|during){since}|ontreatment|on treatment"
    return _by_pattern(cells, {"pre": before, "on": during})


def assays(cells: Iterable[str]) -> dict[str, Any]:
    """Antibodies of PD-L1 assays."""
    known = {"223": "22C3", "22c3": "22C3", "288": "28-8", "sp263": "SP263", "sp142": "SP142"}
    return {c: v for c in cells if (v := known.get(re.sub(r"[^a-z0-9]", "", c.casefold().removeprefix("dako"))))}


def smokers(cells: Iterable[str]) -> dict[str, Any]:
    """Ever smoked: never is 0; former, previous, current are 1."""
    found: dict[str, Any] = {}
    for cell in cells:
        text = plain(cell)
        if re.search(r"\b(never|non ?smoker|lifelong non)\b", text) or text == "no":
            found[cell] = 0
        elif re.search(r"\b(ever|former|previous|current|ex|past|active|smoker|yes)\b", text):
            found[cell] = 1
    return found


def responders(cells: Iterable[str]) -> dict[str, Any]:
    """R against NR, CR/PR against SD/PD."""
    yes = r"r|responders?|cr pr|pr cr|prcr|crpr|response|responded|yes|objective response"
    no = r"nr|non ?responders?|sd pd|pd sd|sdpd|no response|nonresponse|no"
    return _by_pattern(cells, {1: yes, 0: no})


def benefits(cells: Iterable[str]) -> dict[str, Any]:
    """Durable clinical benefit against none."""
    no = r"(no|non)( durable)?( clinical)?( benefit)?|ndb|ncb|no durable benefit|n|0"
    yes = r"(durable )?(clinical )?benefit|dcb|cb|yes|y|1"
    return _by_pattern(cells, {0: no, 1: yes})


def flags(cells: Iterable[str]) -> dict[str, Any]:
    """Yes and no in any wording; "mut" and "wt"."""
    found: dict[str, Any] = {}
    for cell in cells:
        text = plain(cell).replace(" ", "_")
        if text in YES:
            found[cell] = 1
        elif text in NO:
            found[cell] = 0
    return found
