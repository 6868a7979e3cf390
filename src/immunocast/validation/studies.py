"""Finished trials of tuning, kept in Optuna's storage so that a run that was stopped goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from immunocast.errors import ConfigError
from immunocast.validation.search_space import distributions

#: Seconds that a worker waits for another one that is writing.
_PATIENCE = 120
#: What is good, as Optuna spells it.
Direction = Literal["minimize", "maximize"]
_SQLITE, _JOURNAL = (".db", ".sqlite", ".sqlite3"), (".log", ".journal")


@dataclass(frozen=True)
class Trial:
    """A finished trial: its parameters, what it reached (None where it failed), and why it failed."""

    params: dict[str, Any]
    value: float | None
    note: str = ""

    def frozen(self, known: Mapping[str, Any]) -> Any:
        """The trial as Optuna keeps it. Parameters outside of the space say nothing to the sampler."""
        from optuna.trial import TrialState, create_trial

        inside = all(_contains(known[key], value) for key, value in self.params.items())
        return create_trial(
            state=TrialState.COMPLETE if self.value is not None else TrialState.FAIL,
            value=self.value,
            params=self.params if inside else {},
            distributions=dict(known) if inside else {},
            user_attrs={"params": json.dumps(self.params), "note": self.note},
        )


def _contains(distribution: Any, value: Any) -> bool:
    choices = getattr(distribution, "choices", None)
    if choices is not None:
        return any(value is c or (type(value) is type(c) and value == c) for c in choices)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    whole = isinstance(distribution.low, int)
    return number and distribution.low <= value <= distribution.high and (not whole or float(value).is_integer())


def propose(
    space: Mapping[str, Mapping[str, Any]],
    trials: Sequence[Trial],
    seed: Sequence[int],
    direction: Direction = "minimize",
) -> dict[str, Any]:
    """The next parameters: a sampler that is seeded by the trial's number looks at finished trials.

    Parameters
    ----------
    space : ranges by parameter (`search_space`).
    trials : the finished trials that it may look at.
    seed : numbers that together seed the sampler; the trial's own is one of them.
    direction : "minimize" or "maximize", what is good in `Trial.value`.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    state = int(np.random.SeedSequence(list(seed)).generate_state(1)[0])
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=state), direction=direction)
    known = distributions(space)
    for trial in trials:
        study.add_trial(trial.frozen(known))
    params = study.ask(known).params
    return {key: params[key] for key in sorted(params)}


@dataclass(frozen=True)
class Studies:
    """A file of studies, or none.

    Only finished trials are written, each at once: whatever stops a run, the file never holds half a trial.

    Parameters
    ----------
    path : `.db` (SQLite) or `.log` (Optuna's journal); None keeps nothing.
    """

    path: str | None

    def check(self) -> None:
        """Refuse a file name whose kind is not known."""
        if self.path is not None and Path(self.path).suffix not in (*_SQLITE, *_JOURNAL):
            raise ConfigError(
                f"tuning.storage is {self.path!r}; name a file that ends in .db (SQLite) or .log (journal), e.g. "
                "tuning.storage=tuning.db."
            )

    def prepare(self) -> None:
        """Make the file, so that workers who open it at the same time find it whole."""
        if self.path is not None:
            Path(self.path).parent.mkdir(parents=True, exist_ok=True)
            self._open()

    def _open(self) -> Any:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        path = Path(str(self.path))
        try:
            if path.suffix in _SQLITE:
                return optuna.storages.RDBStorage(
                    f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": _PATIENCE}}
                )
            from optuna.storages.journal import JournalFileBackend

            return optuna.storages.JournalStorage(JournalFileBackend(str(path)))
        except OSError:
            raise
        except Exception as error:  # the storage has errors of its own, and those of its database
            first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise ConfigError(
                f"tuning.storage {path} cannot be used: {first}. Name another file, or remove this one."
            ) from error

    def open(self, name: str, direction: Direction = "minimize") -> Kept:
        """The study of a name, with what was kept of it."""
        if self.path is None:
            return Kept(None)
        import optuna

        return Kept(
            optuna.create_study(storage=self._open(), study_name=name, load_if_exists=True, direction=direction)
        )


@dataclass(frozen=True)
class Kept:
    """A study in a file; None where nothing is kept."""

    study: Any

    def load(self) -> list[Trial]:
        """The finished trials, in order."""
        if self.study is None:
            return []
        # two runs that work on one study at once make the same trials, each of them twice
        found: dict[int, Trial] = {}
        for trial in sorted(self.study.get_trials(deepcopy=False), key=lambda t: t.number):
            said = trial.user_attrs
            if "trial" in said and said["trial"] not in found:
                found[said["trial"]] = Trial(json.loads(said["params"]), trial.value, said["note"])
        whole: list[Trial] = []
        while len(whole) in found:
            whole.append(found[len(whole)])
        return whole

    def add(self, number: int, trial: Trial, space: Mapping[str, Mapping[str, Any]]) -> None:
        """Write a finished trial."""
        if self.study is None:
            return
        frozen = trial.frozen(distributions(space))
        frozen.set_user_attr("trial", number)
        self.study.add_trial(frozen)
