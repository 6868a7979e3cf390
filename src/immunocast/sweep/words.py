"""What a sweep's command line asks for, in Hydra's own grammar: `features=default,linear_tmb seed=range(1,4)`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from immunocast.errors import ConfigError

#: Places are no settings of a run.
_PLACES = ("paths", "tracking")
_LAUNCHERS = ("basic", "joblib")


@dataclass(frozen=True)
class Varied:
    """A setting with its values, as text that Hydra reads; `key` may begin with `+`."""

    key: str
    values: tuple[str, ...]

    @property
    def name(self) -> str:
        """The setting without signs."""
        return self.key.lstrip("+~")


@dataclass(frozen=True)
class Words:
    """A command line, taken apart.

    Attributes
    ----------
    sweep : name of a file in conf/sweep/; None where it is not said.
    settings : overrides of that file.
    config_dir : further folder of configuration, None for none.
    fixed : overrides that all jobs share, in order.
    varied : settings with several values.
    workers : what `hydra/launcher` asks for: 1 for basic, n_jobs for joblib; None where it is not said.
    """

    sweep: str | None
    settings: tuple[str, ...]
    config_dir: str | None
    fixed: tuple[str, ...]
    varied: tuple[Varied, ...]
    workers: int | None

    def grid(self) -> list[tuple[str, ...]]:
        """Every combination of the values, the last setting changing fastest."""
        return [
            tuple(f"{v.key}={value}" for v, value in zip(self.varied, values, strict=True))
            for values in product(*(v.values for v in self.varied))
        ]


def parse(words: Sequence[str]) -> Words:
    """Take the words of a command line apart.

    Raises
    ------
    ConfigError
        For a word that is no override, for options that make no sense in a sweep, for a launcher or sweeper that is
        not known here, and where a place varies.

    Examples
    --------
    >>> words = parse(["-m", "features=default,linear_tmb", "seed=3", "sweep.workers=2"])
    >>> words.grid(), words.fixed, words.settings
    ([('features=default',), ('features=linear_tmb',)], ('seed=3',), ('workers=2',))
    """
    sweep = config_dir = None
    settings: list[str] = []
    hydra: list[str] = []
    fixed: list[str] = []
    varied: dict[str, Varied] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word in ("-m", "--multirun", "hydra.mode=MULTIRUN"):
            continue
        if word in ("--config-dir", "-cd") and rest:
            config_dir = rest.pop(0)
        elif word.startswith("--config-dir="):
            config_dir = word.partition("=")[2]
        elif word.startswith("-"):
            raise ConfigError(f"{word} does not go with a sweep. A sweep takes KEY=VALUE, and --config-dir DIR.")
        elif word.startswith("sweep="):
            sweep = word.partition("=")[2]
        elif word.lstrip("+~").startswith("sweep."):
            settings.append(_own(word))
        elif word.lstrip("+~").startswith(("hydra.", "hydra/")):
            hydra.append(word.lstrip("+"))
        else:
            found = _varied(word)
            if found is None:
                fixed.append(word)
            else:
                varied[found.name] = found
    return Words(sweep, tuple(settings), config_dir, tuple(fixed), tuple(varied.values()), _workers(hydra))


def _own(word: str) -> str:
    """A setting of the sweep, as an override of its file; what has checks of its own may be added freely."""
    name = word.lstrip("+~").removeprefix("sweep.")
    if word.startswith("~"):
        return f"~{name}"
    return f"++{name}" if name.startswith(("search.", "vary.", "objective.")) else name


def _varied(word: str) -> Varied | None:
    """The setting with its values where the word gives several; None where it gives one."""
    try:
        parsed = OverridesParser.create().parse_override(word)
    except HydraException as error:
        raise ConfigError(f"{word} cannot be read: {str(error).splitlines()[0]}") from None
    if not parsed.is_sweep_override():
        return None
    if "(" in word and word.partition("=")[2].startswith(("glob", "shuffle")):
        raise ConfigError(f"{word}: glob and shuffle are not known in sweeps; write the values, joined by commas.")
    if not parsed.is_discrete_sweep():
        raise ConfigError(f"{word} is a range without steps. Write values, joined by commas, or use sweep=optuna.")
    found = Varied(parsed.get_key_element(), tuple(parsed.sweep_string_iterator()))
    if found.name.partition(".")[0] in _PLACES:
        raise ConfigError(f"{word}: a sweep varies what a run is, not where it lies. Give {found.name} one value.")
    return found


def _workers(words: Sequence[str]) -> int | None:
    launcher, n_jobs = None, -1
    for word in words:
        key, _, value = word.partition("=")
        if key == "hydra/launcher":
            if value not in _LAUNCHERS:
                raise ConfigError(f"{word}: sweeps know the launchers {' and '.join(_LAUNCHERS)}.")
            launcher = value
        elif key == "hydra.launcher.n_jobs":
            try:
                n_jobs = int(value)
            except ValueError:
                raise ConfigError(f"{word}: give a whole number, or -1 for all cores.") from None
        elif word != "hydra/sweeper=basic":
            mend = {
                "hydra.sweep.dir": "Sweeps lie below paths.sweeps.",
                "hydra/sweeper": "Optuna is had by sweep=optuna (docs/sweeps.md).",
            }.get(key, "Of Hydra's settings, a sweep reads hydra/launcher=joblib and hydra.launcher.n_jobs.")
            raise ConfigError(f"{word} is not read by sweeps. {mend}")
    if launcher is None:
        return None
    return n_jobs if launcher == "joblib" else 1
