"""Prices, for the cost of finding a responder: what treating and testing a patient costs, from the configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from immunocast.cohort.vocabulary import VOCABULARY
from immunocast.errors import ConfigError

#: The blocks of assays that can have a price.
BLOCKS = tuple(sorted({column.block for column in VOCABULARY.values() if column.role == "feature"}))


@dataclass(frozen=True)
class Prices:
    """Prices in one currency.

    Attributes
    ----------
    currency : its name, e.g. "USD".
    treatment : treating one patient.
    test : block of assays -> testing one patient.
    """

    currency: str
    treatment: float
    test: Mapping[str, float]

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Prices:
        """Check the settings `decisions.prices`.

        Raises
        ------
        ConfigError
            Naming the key that is unknown or missing, or the value that is no price.
        """
        known = ("currency", "treatment", "test")
        for key in settings:
            if key not in known:
                raise ConfigError(f"decisions.prices.{key} is unknown. Known are {', '.join(known)}.")
        for key in known:
            if settings.get(key) is None:
                raise ConfigError(f"decisions.prices.{key} has no value. Give it, or set decisions.prices=null.")
        test = settings["test"]
        if not isinstance(test, Mapping):
            raise ConfigError(
                f"decisions.prices.test is {test!r}; it must say what each assay costs, e.g. {{dna: 3000}}."
            )
        for block in test:
            if block not in BLOCKS:
                raise ConfigError(f"decisions.prices.test.{block} is unknown. Assays are {', '.join(BLOCKS)}.")
        for block in BLOCKS:
            if test.get(block) is None:
                raise ConfigError(f"decisions.prices.test.{block} has no value. Give it, 0 where it costs nothing.")
        return cls(
            str(settings["currency"]),
            _price("decisions.prices.treatment", settings["treatment"]),
            {str(block): _price(f"decisions.prices.test.{block}", value) for block, value in test.items()},
        )

    def of_assays(self, assays: Iterable[str]) -> np.ndarray:
        """What testing each patient cost: the sum over the assays that a prediction rested on, "dna+pdl1" for two.

        Raises
        ------
        ConfigError
            Where an assay that was used has no price.
        """
        text = np.asarray(list(assays), dtype=str)
        costs = np.zeros(len(text))
        for used in np.unique(text):
            blocks = [block for block in used.split("+") if block]
            missing = [block for block in blocks if block not in self.test]
            if missing:
                raise ConfigError(
                    f"decisions.prices.test.{missing[0]} has no value, and a model uses it. Give it, 0 where it "
                    "costs nothing."
                )
            costs[text == used] = sum(self.test[block] for block in blocks)
        return costs

    @property
    def words(self) -> str:
        """The prices in one clause."""
        tests = ", ".join(f"{block} {price:,.0f}" for block, price in self.test.items())
        return f"prices are assumptions of the configuration, {self.currency}: treatment {self.treatment:,.0f}; {tests}"


def _price(key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value) or value < 0:
        raise ConfigError(f"{key} is {value!r}; a price is a number of 0 or more.")
    return float(value)
