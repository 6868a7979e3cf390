"""Names that say that a column was recorded after baseline, or that it is an outcome or a prediction of it."""

from __future__ import annotations

import re

#: What a header says -> pattern over its words (lower case, separated by single blanks).
AFTER_BASELINE: dict[str, str] = {
    "an outcome": (
        r"\b(pfs|os|dfs|efs|ttp|ttnt|dor|orr|dcb|dcr|ncb|bor|bcor|recist|irecist|mrecist|outcome|survival|surv|vital "
        r"?status"
        r"|durable (clinical )?(benefit|response)|clinical benefit|non ?responders?|responders?|responsive"
        r"|(best|overall|objective|confirmed|binary|tumou?r|treatment|ici|icb|pd1) (\w+ )?response|response)\b"
    ),
    "a death or the last contact": (
        r"\b(dead|death|deceased|died|alive|expired|mortality|last (contact|follow ?up|visit|seen|known)|follow ?up"
        r"|lost to follow)\b"
    ),
    "a progression": (
        r"\b(progress(ion|ed|or|ive)?|pod|relapsed?|recurr(ence|ed)|hyperprogress\w*|(acquired|primary|secondary) "
        r"resistan\w+)\b"
    ),
    "the treatment's course": (
        r"\b((number|n|num|no|total|nr) (of )?(cycles|doses|infusions|courses)|(cycles|doses|infusions) (on|of|given|"
        r"received|"
        r"completed|administered|number)|cycles|(treatment|therapy|tx|ici|icb|io|drug|immunotherapy) (\w+ "
        r")?(duration|length|exposure|ongoing|end|stop"
        r"|discontinu\w+)|(duration|time|days|weeks|months|length) (of|on) (\w+ )?(treatment|therapy|tx|drug|ici|"
        r"response|benefit)|time on"
        r"|discontinu\w+|off (treatment|therapy|study)|reason (for )?(stop\w*|end|off|discontinu\w+)|(end|stop) "
        r"(date )?of (treatment|therapy)"
        r"|(ongoing|ended) (treatment|therapy)|tx ongoing|exposure)\b"
    ),
    "a later measurement": (
        r"\b(on (treatment|therapy|tx|study|pd1|nivo\w*|pembro\w*|ici|icb)|under (treatment|therapy)|post (treatment|"
        r"therapy|tx|dose|baseline|ici|icb|nivo\w*|"
        r"pembro\w*|pd1|ctla4|combined|mapk\w*|braf)|after (treatment|therapy|ici|icb|start|\d+ (weeks|months|days|"
        r"cycles))|at progression"
        r"|(week|wk|month|day|cycle) ?([2-9]|[1-9]\d+)( ?d ?1)?|c[2-9] ?d ?\d+|first (scan|restaging|assessment)|"
        r"restaging|early change|nadir)\b"
    ),
    "a change since baseline": (
        r"\b(best (percent|percentage|pct|%)? ?change|(percent|percentage|pct|relative|max\w*|fold|tumou?r|size|sld) "
        r"change|change (from|since|in|of)|"
        r"delta|shrinkage|depth (of )?response|depth|(ct ?dna|mrd|cfdna) (\w+ )?(clear\w*|change|response|decline|"
        r"status post)|clearance|dynamics)\b"
    ),
    "an immune-related adverse event": (
        r"\b(ir ?aes?\d*|immune related( adverse)?|toxicit(y|ies)|adverse events?|ctcae|steroids? for)\b"
    ),
    "a later treatment": (
        r"\b((subsequent|next|later|salvage|following) (line|treatment|therapy|tx|regimen)|post ?progression "
        r"(treatment|therapy))\b"
    ),
    "the output of a model": (
        r"\b(predict(ed|ion|ions|or)?|pred|prob(ability|abilities)?|risk (score|group)|model (score|output)|loris|p "
        r"response|y hat|yhat|logit)\b"
    ),
}

#: Words that turn a name back to the time before treatment, or to something harmless.
_BEFORE = re.compile(
    r"\b(prior|previous\w*|pre ?treated|before|baseline|base ?line|history|pre (treatment|therapy|tx|dose|ici|icb)|"
    r"pretreatment|screening|"
    r"at (diagnosis|enrol\w+|start|inclusion))\b"
)
_PATTERNS = {what: re.compile(pattern) for what, pattern in AFTER_BASELINE.items()}


def words_of(header: str) -> str:
    """A header as words: camelCase, dots, underscores and dashes are separators.

    >>> words_of("cyclesOnTherapy"), words_of("os_1yr.flag"), words_of("OS_MONTHS")
    ('cycles on therapy', 'os 1yr flag', 'os months')
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", header)
    return re.sub(r"[^A-Za-z0-9%]+", " ", spaced).strip().lower()


def after_baseline(header: str) -> str:
    """What a header says that was recorded after baseline, "" where it says no such thing."""
    words = words_of(header)
    if _BEFORE.search(words):
        return ""
    return next((what for what, pattern in _PATTERNS.items() if pattern.search(words)), "")
