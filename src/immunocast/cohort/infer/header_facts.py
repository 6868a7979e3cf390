"""What else a header says: its words, a unit, a legend of codes, and whether the column came too late."""

from __future__ import annotations

import re


def plain_header(header: str) -> str:
    """Words of a header in lower case; names with hyphens as one word.

    >>> [plain_header(h) for h in ("PDL1_TPS(%)", "Best.Confirmed.Response", "priorCTLA4", "highest_grade_iraE")]
    ['pdl1 tps percent', 'best confirmed response', 'prior ctla4', 'highest grade irae']
    """
    text = re.sub(r"(?i)ir[-_. ]?aes?", " irae ", header)
    text = re.sub(r"(?<=[a-z])(?=[A-Z][A-Za-z])", " ", text).casefold().replace("%", " percent ")
    text = re.sub(r"[^0-9a-z]+", " ", text)
    text = re.sub(r"\b(pd|pdl|ctla|il|cd) (?=l?\d)", r"\1", text)
    return " ".join(text.split())


UNIT_WORDS = {
    "days": r"\bdays?\b|(?<=pfs )d$|(?<=os )d$",
    "weeks": r"\b(weeks?|wks?)\b|(?<=pfs)wk\b|(?<=os)wk\b",
    "months": r"\b(months?|mos?|mths?|mon)\b",
    "years": r"\b(years?|yrs?)\b",
    "percent": r"\bpercent(age)?\b|\bpct\b",
    "fraction": r"\b(fraction|prop(ortion)?)\b(?! score)",
}

#: Units with signs in them, looked for in the raw header.
_UNIT_SIGNS = (
    ("/uL", r"/\s*[uµμ]l\b|/\s*mm\^?3|cells\s*/"),
    ("10^9/L", r"10\s*[\^e*]{0,2}\s*9\s*/?\s*l\b|\bg/l\b(?=.*(plat|neut|lymph|leu))|\bk/[uµ]l|10\^?3/[uµ]l"),
    ("g/dL", r"\bg\s*[/_.]?\s*dl\b"),
    ("mg/dL", r"\bmg\s*[/_.]?\s*dl\b"),
    ("mg/L", r"\bmg\s*[/_.]?\s*l\b"),
    ("g/L", r"\bg\s*[/_.]\s*l\b|(?<=_)gl\b"),
    ("mmol/L", r"\bmmol\s*[/_.]?\s*l\b"),
    ("umol/L", r"\b[uµ]mol\s*[/_.]?\s*l\b"),
    ("U/L", r"\b(i?u)\s*/\s*l\b"),
    ("ng/mL", r"\bng\s*[/_.]?\s*ml\b"),
    ("pg/mL", r"\bpg\s*[/_.]?\s*ml\b"),
    ("cm", r"\bcm\b"),
    ("mm", r"\bmm\b"),
)


def unit_in(header: str) -> str | None:
    """The unit that a header names, None where it names none.

    >>> [unit_in(h) for h in ("OS (days)", "ALB g/L", "PDL1_TPS(%)", "PFS_Months", "NLR")]
    ['days', 'g/L', 'percent', 'months', None]
    """
    for unit, pattern in _UNIT_SIGNS:
        if re.search(pattern, header.casefold()):
            return unit
    plain = plain_header(header)
    return next((unit for unit, pattern in UNIT_WORDS.items() if re.search(pattern, plain)), None)


#: What is known only after treatment has begun, or is the answer itself under another name: header -> why.
_LATE = (
    (
        r"\bcycles?\b|num(ber of)? doses|doses (given|"
        r"received)",
        "how long treatment went on is known only afterwards",
    ),
    (
        r"\b(post|after)\b.*(ctla4|mapk|tx|treatment|therapy|braf|ici|io)?|"
        r"^post",
        "recorded after treatment had begun",
    ),
    (r"\bon ?(treatment|tx|therapy)\b|\b(week|wk|cycle) ?\d+\b|\bc\d+ ?d\d+\b", "measured on treatment"),
    (r"ongoing|discontinu|reason for (stop|end)", "how treatment ended is known only afterwards"),
    (r"time to (br|response|best response)|duration of response|\bdor\b|\bttr\b", "part of the outcome"),
    (
        r"clearance|\bdelta\b|change from baseline|\bearly\b.*(decrease|increase|"
        r"change)",
        "a change under treatment",
    ),
    (
        r"predict(ed|ion)?\b|\bloris\b|\brisk (score|group)|model (score|output)|"
        r"\bprob(ability)?\b",
        "a model's earlier output",
    ),
    (r"subsequent|next line|salvage|hyper ?progress", "recorded after treatment had begun"),
    (
        r"(survival|response|os|pfs|alive|dead) ?(at )?\d+ ?(yr|year|mo|month|m|y)s?\b|\b\d+ ?(yr|year|mo|"
        r"month)s?\b.*(flag|surv)",
        "the outcome, cut at a time",
    ),
    (r"long survival|long term surv|non ?response|\bgroup\b", "the outcome in other words"),
    (
        r"(last|final) (contact|visit|follow ?up|drug)|follow ?up|end date|therapy end|date of death|date death|"
        r"date (of )?progress|progression date|pfs date|\bpd date\b|death date",
        "a date after baseline",
    ),
)
_LATE_PATTERNS = tuple((re.compile(p), why) for p, why in _LATE)


def too_late(header: str) -> str | None:
    """Why a column was recorded after baseline, by its name; None where nothing says so.

    >>> too_late("cyclesOnTherapy")
    'how long treatment went on is known only afterwards'
    """
    plain = plain_header(header)
    return next((why for pattern, why in _LATE_PATTERNS if pattern.search(plain)), None)


def legend_in(header: str) -> dict[str, str]:
    """Codes that a header explains, code -> words.

    >>> legend_in("gender (Male=1, Female=0)")
    {'1': 'male', '0': 'female'}
    >>> legend_in("Response (1:Responder; 0:Non-responder)")
    {'1': 'responder', '0': 'non-responder'}
    """
    found: dict[str, str] = {}
    for item in re.split(r"[,;(){}\[\]]", header):
        match = re.fullmatch(r"\s*(.*?)\s*[=:]\s*(.*?)\s*", item)
        if match:
            left, right = match[1].casefold(), match[2].casefold()
            code, words = (left, right) if re.fullmatch(r"\d+", left) else (right, left)
            if re.fullmatch(r"\d+|true|false|y|n|yes|no", code) and words and not re.fullmatch(r"\d+", words):
                found[code] = words
    return found if len(found) > 1 else {k: v for k, v in found.items() if k in ("true", "1", "yes", "y")}
