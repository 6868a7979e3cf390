"""A synthetic cohort whose truth is known: who it is, what decides on response, and what is measured.

The numbers are in `synthetic_parameters.yaml`, each with its source. `synthetic_patients` draws baseline
features, `synthetic_outcomes` response and survival; here they are joined, assays go missing, and the truth is
kept apart from what a model may see.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from numbers import Integral, Real
from typing import Any
from zlib import crc32

import numpy as np
import pandas as pd
from scipy.special import expit

from immunocast import __version__
from immunocast.cohort.synthetic_outcomes import (
    OUTCOME_STREAMS,
    Scales,
    draw_outcomes,
    response_effects,
    solve_scales,
)
from immunocast.cohort.synthetic_parameters import Parameters, load_parameters
from immunocast.cohort.synthetic_patients import BASELINE_STREAMS, draw_patients, pick_types
from immunocast.cohort.table import CohortTables, Provenance, to_cohort_table
from immunocast.errors import ConfigError

#: Columns that one assay yields together: they are missing together.
ASSAYS = {
    "rna": ("gep_score", "tgfb_score", "immune_phenotype"),
    "dna": ("tmb_mut_mb", "fcna"),
    "hla_loh": ("hla_loh",),
    "msi_status": ("msi_status",),
    "blood": ("nlr", "albumin_g_dl"),
    "hemoglobin_g_dl": ("hemoglobin_g_dl",),
    "platelets_10e9_l": ("platelets_10e9_l",),
    "antibiotics_60d": ("antibiotics_60d",),
}

# what an assay may miss and is a number: its true value goes to the truth
_NUMERIC_ASSAYED = (
    "pdl1_tps",
    *(c for columns in ASSAYS.values() for c in columns if c not in ("immune_phenotype", "msi_status")),
)

MAX_COHORT_SHIFT = 1.0
_REFERENCE_SIZE = 4096  # patients of each type on which scales are solved, mirrored to twice as many
_EDGE = 1e-12


class SyntheticCohort:
    """Generator of synthetic patients on immune checkpoint inhibitors.

    Parameters
    ----------
    name : start of cohort and patient ids; letters, digits, "_", "-" and ".".
    n_patients : patients over all cohorts, spread as evenly as possible, first cohorts first.
    n_cohorts : number of cohorts, then called A, B, C ..., or their names.
    seed : whole number, 0 or more.
    scenario : "default"; "tmb_no_effect", in which TMB has no effect; "no_signal", in which nothing has and
        every patient's probability is the overall response rate (cohort shift apart).
    cohort_shift : how far the first and the last cohort lie from the middle, in log-odds of response and of
        being NSCLC; the others lie evenly between. The shifts sum to 0, so overall rates stay on target. 0 to 1.

    Raises
    ------
    ConfigError
        Where a setting cannot be used; the message names the setting and the mend.

    Notes
    -----
    Every cohort and every variable has its own random stream, keyed by `seed`, the cohort's name and the
    variable's. So patient k of a cohort does not change when `n_patients` grows, when other cohorts are added
    or when cohorts change places, as long as `cohort_shift` is 0. With a shift, a cohort's shift follows from
    its place, and the draws behind it stay the same. Patients keep their draws over scenarios too.

    The label is a Bernoulli draw of `p_response`; best responses that are not evaluable are drawn at random,
    so a calibration of the label on `p_response` has intercept 0 and slope 1.
    """

    def __init__(
        self,
        name: str = "synthetic",
        n_patients: int = 1200,
        n_cohorts: int | Sequence[str] = 3,
        seed: int = 20260101,
        scenario: str = "default",
        cohort_shift: float = 0.15,
    ):
        self.name = _identifier("name", name)
        self.n_patients = _whole("n_patients", n_patients, 1, 5_000_000)
        self.cohorts = _cohort_names(n_cohorts)
        if self.n_patients < len(self.cohorts):
            raise ConfigError(
                f"cohort.n_patients: {n_patients} patients cannot fill {len(self.cohorts)} cohorts. "
                "Ask for more patients or fewer cohorts (n_cohorts)."
            )
        self.seed = _whole("seed", seed, 0, 2**63 - 1)
        scenarios = load_parameters().scenarios
        if not isinstance(scenario, str) or scenario not in scenarios:
            raise ConfigError(f"cohort.scenario: {scenario!r} is not known. Choose one of {', '.join(scenarios)}.")
        self.scenario = scenario
        if isinstance(cohort_shift, bool) or not isinstance(cohort_shift, Real):
            raise ConfigError(f"cohort.cohort_shift: {cohort_shift!r} is no number. Give one from 0 to 1.")
        self.cohort_shift: float = float(cohort_shift)
        if not 0 <= self.cohort_shift <= MAX_COHORT_SHIFT:
            raise ConfigError(f"cohort.cohort_shift: {cohort_shift} is out of range. Give a number from 0 to 1.")

    def settings(self) -> dict[str, Any]:
        """Everything that decides on the patients, JSON-ready."""
        return {
            "name": self.name,
            "n_patients": self.n_patients,
            "cohorts": self.cohorts,
            "seed": self.seed,
            "scenario": self.scenario,
            "cohort_shift": self.cohort_shift,
        }

    def load(self) -> CohortTables:
        """Generate the patients.

        Returns
        -------
        CohortTables
            `cohort` in the vocabulary, with missing values where an assay was not done; `truth` with
            p_response, "effect_*" (log-odds by parent; they add up to the logit of p_response, and include
            the type's intercept and the cohort's shift) and "latent_*" (values that are true whether or not
            they were measured, and true times without censoring). Rows of both are in the same order.
        """
        parameters = load_parameters()
        sizes = np.full(len(self.cohorts), self.n_patients // len(self.cohorts))
        sizes[: self.n_patients % len(self.cohorts)] += 1
        places = np.linspace(-1, 1, len(self.cohorts)) if len(self.cohorts) > 1 else np.zeros(1)
        parts = [
            self._one_cohort(label, int(n), float(place * self.cohort_shift), parameters)
            for label, n, place in zip(self.cohorts, sizes, places, strict=True)
        ]
        cohort, truth = (pd.concat(frames, ignore_index=True) for frames in zip(*parts, strict=True))
        return CohortTables(to_cohort_table(cohort), self._provenance(parameters), truth)

    def _provenance(self, parameters: Parameters) -> Provenance:
        content = json.dumps([__version__, self.settings(), parameters.text], sort_keys=True)
        return Provenance(
            name=self.name,
            synthetic=True,
            source=f"immunocast generator {__version__}",
            digest=hashlib.sha256(content.encode()).hexdigest(),
            notes=(
                f"No patient exists: generated, scenario {self.scenario}, seed {self.seed}.",
                "All patients receive immune checkpoint inhibitors: nothing here tells predictive from "
                "prognostic effects.",
            ),
        )

    def _one_cohort(
        self, label: str, n: int, shift: float, parameters: Parameters
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        streams = ("type", *BASELINE_STREAMS, *OUTCOME_STREAMS, "tps_tested", *(f"missing_{a}" for a in ASSAYS))
        u = _draws(streams, n, self.seed, label)
        tilted = parameters.share * np.where(np.array(parameters.types) == "NSCLC", np.exp(shift), 1.0)
        kind = pick_types(u["type"], tilted / tilted.sum())
        values = draw_patients(kind, u, parameters)
        removed = parameters.scenarios[self.scenario]
        scales = _scales(self.scenario)
        effects = response_effects(values, parameters, removed)
        effects["tumor_type"] = scales.intercept[kind]
        effects["cohort"] = np.full(n, shift)
        p_response = expit(np.sum(list(effects.values()), axis=0))
        outcomes = draw_outcomes(values, kind, p_response, u, scales, parameters)

        keys = {
            "patient_id": [f"{self.name}-{label}-{k:05d}" for k in range(1, n + 1)],
            "cohort_id": f"{self.name}-{label}",
        }
        truth = pd.DataFrame(
            {
                **keys,
                "p_response": p_response,
                **{f"effect_{parent}": e for parent, e in effects.items()},
                **{k: v for k, v in {**values, **outcomes}.items() if k.startswith("latent_")},
                **{f"latent_{k}": values[k].astype(float) for k in _NUMERIC_ASSAYED},
            }
        )
        seen = {k: v for k, v in {**values, **outcomes}.items() if not k.startswith("latent_")}
        cohort = pd.DataFrame({**keys, **seen, "arm": "ici", "pdl1_assay": "22C3"})
        for column in ("hla_loh", "antibiotics_60d", "prior_systemic_therapy", "pfs_event", "os_event"):
            cohort[column] = cohort[column].astype("Int64")
        cohort["responder"] = cohort["responder"].astype("Int64")
        tested = u["tps_tested"] < _share_tested(values, kind, parameters)
        cohort.loc[~tested, ["pdl1_tps", "pdl1_assay"]] = None
        for assay, columns in ASSAYS.items():
            missing = u[f"missing_{assay}"] < parameters.raw["missing"][assay]
            for column in columns:
                cohort.loc[missing, column] = None
        return cohort, truth


def _share_tested(values: Mapping[str, np.ndarray], kind: np.ndarray, parameters: Parameters) -> np.ndarray:
    """(n,) probability that PD-L1 was tested: the type's share, following the years as it did in NSCLC."""
    by_year = np.array(list(parameters.raw["pdl1_tps"]["tested_by_year"].values()), dtype=float)
    expected = parameters.year_given_type @ by_year
    scale = parameters.by_type("tps_tested") / expected
    year = np.searchsorted(parameters.years, values["treatment_start_year"])
    return np.clip(scale[kind] * by_year[year], 0, 1)


def _draws(streams: Iterable[str], n: int, seed: int, label: str) -> dict[str, np.ndarray]:
    """Uniform draws in (0, 1), a stream of its own for every variable of every cohort."""
    return {
        s: np.clip(
            np.random.Generator(
                np.random.PCG64(np.random.SeedSequence([seed, crc32(label.encode()), crc32(s.encode())]))
            ).random(n),
            _EDGE,
            1 - _EDGE,
        )
        for s in streams
    }


@cache
def _scales(scenario: str) -> Scales:
    """Intercepts and survival scales of a scenario, on a reference sample that no user's seed changes."""
    parameters = load_parameters()
    kind = np.repeat(np.arange(len(parameters.types)), 2 * _REFERENCE_SIZE)
    half = _draws((*BASELINE_STREAMS, "response", "pfs", "residual"), _REFERENCE_SIZE, 0, "reference")
    # mirrored draws (u and 1 - u) take most of the sampling error out of means and medians
    u = {s: np.tile(np.concatenate([x, 1 - x]), len(parameters.types)) for s, x in half.items()}
    values = draw_patients(kind, u, parameters)
    removed = parameters.scenarios[scenario]
    log_odds = np.sum(list(response_effects(values, parameters, removed).values()), axis=0)
    orr = parameters.orr
    if "type_orr" in removed:
        orr = np.full_like(orr, (parameters.share * orr).sum())
    return solve_scales(values, log_odds, u, orr, parameters)


def _identifier(setting: str, value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", value):
        raise ConfigError(
            f"cohort.{setting}: {value!r} cannot be part of an id. "
            "Use letters, digits, '_', '-' and '.', starting with a letter or digit."
        )
    return value


def _whole(setting: str, value: Any, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral) or not low <= int(value) <= high:
        raise ConfigError(f"cohort.{setting}: {value!r} cannot be used. Give a whole number from {low} to {high}.")
    return int(value)


def _cohort_names(n_cohorts: int | Sequence[str]) -> list[str]:
    if isinstance(n_cohorts, Sequence) and not isinstance(n_cohorts, str):
        names = [_identifier("n_cohorts", value) for value in n_cohorts]
        if not names:
            raise ConfigError("cohort.n_cohorts: the list is empty. Name one cohort or more.")
        if len(set(names)) < len(names):
            twice = sorted({n for n in names if names.count(n) > 1})
            raise ConfigError(f"cohort.n_cohorts: {', '.join(twice)} is named twice. Give each cohort its own name.")
        return names
    count = _whole("n_cohorts", n_cohorts, 1, 26)
    return [chr(ord("A") + k) for k in range(count)]
