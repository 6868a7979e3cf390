"""All endpoints by name, and the way from a name or settings to labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from immunocast.cohort.outcomes.endpoint import Endpoint, Words
from immunocast.cohort.outcomes.labels import Labels
from immunocast.cohort.outcomes.resistance import AcquiredResistance, PrimaryResistance
from immunocast.cohort.outcomes.response import DurableBenefit, Response
from immunocast.cohort.outcomes.survival import OverallSurvival, ProgressionFreeSurvival
from immunocast.cohort.outcomes.toxicity import AnyIrae, SevereIrae
from immunocast.errors import ConfigError

#: Endpoint name -> the class that makes its labels.
ENDPOINTS: dict[str, type[Endpoint]] = {
    cls.name: cls
    for cls in (
        Response,
        DurableBenefit,
        PrimaryResistance,
        AcquiredResistance,
        AnyIrae,
        SevereIrae,
        OverallSurvival,
        ProgressionFreeSurvival,
    )
}


def make_endpoint(endpoint: str | Mapping[str, Any] | Endpoint) -> Endpoint:
    """An endpoint by its name, or from a mapping with `name` and its settings.

    Raises
    ------
    ConfigError
        For an unknown name, a setting that the endpoint does not have, and values out of range.
    """
    if isinstance(endpoint, Endpoint):
        return endpoint
    settings = {"name": endpoint} if isinstance(endpoint, str) else dict(endpoint)
    name = settings.pop("name", None)
    if name not in ENDPOINTS:
        raise ConfigError(f"Unknown endpoint {name!r}. Known: {', '.join(ENDPOINTS)}.")
    return ENDPOINTS[name].from_settings(settings)


def make_labels(cohort: pd.DataFrame, endpoint: str | Mapping[str, Any] | Endpoint = "response") -> Labels:
    """Label every patient of a cohort table.

    Parameters
    ----------
    cohort : (n, columns) cohort table.
    endpoint : a key of `ENDPOINTS` for its default settings, a mapping with `name` and settings, or an endpoint.

    Raises
    ------
    ConfigError
        For an unknown endpoint or setting.
    DataError
        Where two outcome columns contradict each other.
    """
    return make_endpoint(endpoint).label(cohort)


def require_labels(labels: Labels, endpoint: Endpoint) -> None:
    """Stop where nobody has a label.

    Raises
    ------
    ConfigError
        With the columns that the endpoint needs and why patients were left out.
    """
    if labels.y.notna().any():
        return
    why = "; ".join(f"{reason} ({n:,})" for reason, n in list(labels.reasons.items())[:5])
    raise ConfigError(
        f"No patient has a label for the endpoint {endpoint.name!r}: there is nothing to train on. It needs "
        f"{endpoint.needs}. Left out: {why or 'the cohort is empty'}. Map or rename your columns, or choose another "
        f"endpoint ({', '.join(ENDPOINTS)})."
    )


def words_of(name: str, settings: Mapping[str, Any] | None = None) -> Words:
    """How reports speak of an endpoint; also of one that this version does not know.

    Parameters
    ----------
    name : of the endpoint.
    settings : as `Endpoint.to_dict` gives them, None for the defaults.

    >>> words_of("os", {"name": "os", "horizon_months": 24}).title
    'death within 24 months'
    """
    if name in ENDPOINTS:
        return make_endpoint(settings or name).words
    plain = name.replace("_", " ").strip()
    return Words(plain, f"patients with {plain}", f"patients without {plain}", f"a patient with {plain}",
                 f"a patient without {plain}")  # fmt: skip
