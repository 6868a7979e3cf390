"""The words of a command line, before Hydra reads them: `cohort=[loris,oak]` loads several cohorts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import QuotedString
from hydra.errors import HydraException

from immunocast.cohort.hints import did_you_mean
from immunocast.errors import ConfigError


def expand_cohorts(words: Sequence[str], conf_dir: Path) -> list[str]:
    """Write `cohort=[a,b]` as Hydra understands it: the cohort `several` with the members a and b.

    Hydra takes a list as a group's choice, too, but lays the files over each other: a mixture of two mappings.

    Parameters
    ----------
    words : overrides, or the words of a command line; all others stay as they are.
    conf_dir : folder of the configuration, whose cohort/ holds the cohorts.

    Returns
    -------
    The words with `cohort=several`, its name, and an entry a member in place of the list; a list of one name is
    that cohort.

    Raises
    ------
    ConfigError
        For names that do not exist, a cohort named twice, an empty list, and several lists.

    Examples
    --------
    >>> from immunocast.config import conf_dir
    >>> expand_cohorts(["cohort=[loris,csv]", "seed=1"], conf_dir())  # doctest: +NORMALIZE_WHITESPACE
    ['cohort=several', '+cohort@cohort.members.loris=loris', '+cohort@cohort.members.csv=csv',
     'cohort.name=loris+csv', 'seed=1']
    """
    expanded: list[str] = []
    for word in words:
        names = _listed_cohorts(word)
        if names is None:
            expanded.append(word)
            continue
        _check_names(names, words, conf_dir)
        if len(names) == 1:
            expanded.append(f"cohort={names[0]}")
            continue
        expanded.append("cohort=several")
        expanded += [f"+cohort@cohort.members.{name}={name}" for name in names]
        expanded.append(f"cohort.name={'+'.join(names)}")
    return expanded


def _listed_cohorts(word: str) -> list[str] | None:
    """The names in `cohort=[...]`; None for every other word."""
    if not word.startswith("cohort=") or "[" not in word:
        return None
    try:
        parsed = OverridesParser.create().parse_override(word)
        value = parsed.value()
        if isinstance(value, QuotedString) or (isinstance(value, str) and value.startswith("[")):
            value = OverridesParser.create().parse_override(f"cohort={value}").value()
    except HydraException:
        # mostly a list with blanks that the shell has cut up
        raise ConfigError(f"{word} is no list of cohorts. Write it in quotes: 'cohort=[loris,oak]'.") from None
    if parsed.is_sweep_override():
        raise ConfigError(
            f"{word} names several lists of cohorts, and this is one run. A sweep makes a run of each: "
            f"pipelines/run.py -m '{word}'."
        )
    return [str(name) for name in value] if isinstance(value, list) else None


def _check_names(names: Sequence[str], words: Sequence[str], conf_dir: Path) -> None:
    if not names:
        raise ConfigError("cohort=[] names no cohort. Name them, e.g. cohort=[loris,oak].")
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"cohort=[...] names {name!r} twice.")
        if name == "several":
            raise ConfigError("cohort=[...] names 'several', which stands for the list itself. Name its members.")
    if any(word.lstrip("+").startswith("hydra.searchpath=") for word in words):
        return  # more places than can be looked at here
    folders = [conf_dir, *_config_dirs(words)]
    known = {p.stem for folder in folders for p in (folder / "cohort").glob("*.yaml")} - {"several"}
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known)
            raise ConfigError(f"There is no cohort {name!r}. {hint} Cohorts: {', '.join(sorted(known))}.")


def _config_dirs(words: Sequence[str]) -> list[Path]:
    """Folders that `--config-dir` adds to conf/."""
    found = [word.split("=", 1)[1] for word in words if word.startswith("--config-dir=")]
    found += [b for a, b in pairwise(words) if a in ("--config-dir", "-cd")]
    return [Path(folder) for folder in found]
