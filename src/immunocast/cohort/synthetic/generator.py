"""A synthetic cohort whose truth is known: settings in, tables out.

The numbers are in `parameters.yaml`, each with its source. `mechanisms` draws what is in the patients, `assays` what
laboratories report of it, `response` and `outcomes` what becomes of the patients with and without ICI; here they are
joined, block by block, and the truth is kept apart from what a model may see.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from immunocast import __version__
from immunocast.cohort.synthetic.assays import PDL1_ASSAYS, read_assays
from immunocast.cohort.synthetic.frames import cohort_frame, ids_of, numbered, text_of
from immunocast.cohort.synthetic.mechanisms import DRUG_CLASSES, PHENOTYPES, Values, draw_patients
from immunocast.cohort.synthetic.outcomes import BEST_RESPONSES, Scales, draw_outcomes, solve_scales
from immunocast.cohort.synthetic.parameters import Parameters, load_parameters
from immunocast.cohort.synthetic.response import Scenario, acts_without_ici, response_terms
from immunocast.cohort.synthetic.roles import truth_features
from immunocast.cohort.synthetic.scenarios import PLANTS, plant
from immunocast.cohort.synthetic.shapley import Background, background_of, log_odds_of, shapley_values
from immunocast.cohort.synthetic.streams import ReferenceStreams, Streams, pick
from immunocast.cohort.table import CohortTables, Provenance, to_cohort_table
from immunocast.errors import ConfigError

MAX_COHORT_SHIFT = 1.0
MAX_PATIENTS = 5_000_000
_REFERENCE_SIZE = 4096  # patients of each type on which scales are solved, mirrored to twice as many
_AT_ONCE = 32_768  # patients drawn at once: their arrays stay in the processor's cache

# true values that the truth table keeps, beside the mechanisms
_TRUE_VALUES = (
    "pdl1_tps",
    "tmb_mut_mb",
    "fcna",
    "msi_high",
    "hla_loh",
    "ap_loss",
    "stk11_mut",
    "immune_phenotype",
    "albumin_g_dl",
    "nlr",
    "hemoglobin_g_dl",
    "platelets_10e9_l",
    "antibiotics_60d",
)


class SyntheticCohort:
    """Generator of synthetic patients on immune checkpoint inhibitors, and of a control arm if asked for.

    Parameters
    ----------
    name : start of cohort and patient ids; letters, digits, "_", "-" and ".".
    n_patients : patients over all cohorts, spread as evenly as possible, first cohorts first.
    n_cohorts : number of cohorts, then called A, B, C ..., or their names.
    seed : whole number, 0 or more.
    scenario : "default"; "null_tmb", TMB has no effect; "prognostic_only", markers act alike with and without ICI;
        "no_signal", nothing has an effect and every patient's probability is the overall response rate (cohort shift
        apart); "site_shift", cohorts differ in assays, case mix and missing tests; "unit_error" and "imputed",
        mistakes are planted that quality checks should find; "tiny", 60 patients at most; "rare_type", a type with
        a hundredth of the patients.
    cohort_shift : how far the first and the last cohort lie from the middle, in log-odds of response and of
        being NSCLC; the others lie evenly between. The shifts sum to 0, so overall rates stay on target. 0 to 1.
    control_fraction : share of patients, at random, who receive no ICI (arm "control"). 0 to .9.

    Raises
    ------
    ConfigError
        Where a setting cannot be used; the message names the setting and the mend.

    Notes
    -----
    Every cohort and every variable has its own random stream, keyed by `seed`, the cohort's name and the
    variable's, and patient k has draw k of each. So patient k of a cohort does not change when `n_patients` grows,
    when other cohorts are added or when cohorts change places, as long as `cohort_shift` is 0. With a shift, a
    cohort's shift follows from its place, and the draws behind it stay the same. Patients keep their draws over
    scenarios, arms and sizes of blocks too.

    The label is a Bernoulli draw of the probability in the patient's own arm, which is `p_response` with ICI and
    `p_response_control` without; best responses that are not evaluable are drawn at random, so a calibration of the
    label on it has intercept 0 and slope 1.
    """

    def __init__(
        self,
        name: str = "synthetic",
        n_patients: int = 1200,
        n_cohorts: int | Sequence[str] = 3,
        seed: int = 20260101,
        scenario: str = "default",
        cohort_shift: float = 0.15,
        control_fraction: float = 0.0,
    ):
        self.name = _identifier("name", name)
        self.n_patients = _whole("n_patients", n_patients, 1, MAX_PATIENTS)
        self.cohorts = _cohort_names(n_cohorts)
        self.seed = _whole("seed", seed, 0, 2**63 - 1)
        scenarios = load_parameters().scenarios
        if not isinstance(scenario, str) or scenario not in scenarios:
            raise ConfigError(f"cohort.scenario: {scenario!r} is not known. Choose one of {', '.join(scenarios)}.")
        self.scenario = scenario
        self.n_patients = min(self.n_patients, scenarios[scenario].get("at_most", MAX_PATIENTS))
        if self.n_patients < len(self.cohorts):
            raise ConfigError(
                f"cohort.n_patients: {self.n_patients} patients cannot fill {len(self.cohorts)} cohorts. "
                "Ask for more patients or fewer cohorts (n_cohorts)."
            )
        self.cohort_shift = _share("cohort_shift", cohort_shift, MAX_COHORT_SHIFT)
        self.control_fraction = _share("control_fraction", control_fraction, 0.9)

    def settings(self) -> dict[str, Any]:
        """Everything that decides on the patients, JSON-ready."""
        return {
            "name": self.name,
            "n_patients": self.n_patients,
            "cohorts": self.cohorts,
            "seed": self.seed,
            "scenario": self.scenario,
            "cohort_shift": self.cohort_shift,
            "control_fraction": self.control_fraction,
        }

    def load(self) -> CohortTables:
        """Generate the patients.

        Returns
        -------
        CohortTables
            `cohort` in the vocabulary, with missing values where a test was not done; `truth`, a row a patient in the
            same order: p_response (with ICI), p_response_control, individual_effect (their difference), "effect_*"
            (log-odds with ICI by parent; they add up to the logit of p_response, and include the type's intercept and
            the cohort's shift), "shapley_*" (with shapley_base they add up to the same logit), "latent_*"
            (mechanisms, true values whether or not they were measured, and true times without censoring) and
            planted; `truth_features`, a row an outcome and a feature (see `roles`).
        """
        return self._tables(self._pieces(self.n_patients))

    def blocks(self, size: int = 100_000) -> Iterator[CohortTables]:
        """Generate the same patients in blocks of at most `size`, so that memory stays bounded.

        Yields
        ------
        CohortTables
            Together, row by row, what `load` gives; a block never spans two cohorts.

        Raises
        ------
        ConfigError
            Where `size` is no whole number from 1.
        """
        size = _whole("size", size, 1, MAX_PATIENTS)
        for piece in self._pieces(size):
            yield self._tables([piece])

    def _pieces(self, size: int) -> list[_Piece]:
        """The cohorts, each cut into pieces of at most `size` patients."""
        count = len(self.cohorts)
        sizes = np.full(count, self.n_patients // count)
        sizes[: self.n_patients % count] += 1
        places = np.linspace(-1, 1, count) if count > 1 else np.zeros(1)
        return [
            _Piece(k, label, float(place), start, min(size, int(n) - start))
            for k, (label, n, place) in enumerate(zip(self.cohorts, sizes, places, strict=True))
            for start in range(0, int(n), size)
        ]

    def _tables(self, pieces: Sequence[_Piece]) -> CohortTables:
        parameters = load_parameters()
        scenario = Scenario.named(self.scenario, parameters)
        total = sum(piece.n for piece in pieces)
        cohort: Values = {}
        truth: Values = {}
        row = 0
        for piece in pieces:
            for start in range(piece.start, piece.start + piece.n, _AT_ONCE):
                n = min(_AT_ONCE, piece.start + piece.n - start)
                for whole, part in zip((cohort, truth), self._draw(piece, start, n, scenario, parameters), strict=True):
                    for column, values in part.items():
                        if column not in whole:
                            whole[column] = np.full(total, np.nan if values.dtype.kind == "f" else -1, values.dtype)
                        whole[column][row : row + n] = values
                row += n
        prefix = [f"{self.name}-{label}" for label in self.cohorts]
        ids = ids_of([numbered(f"{prefix[p.index]}-", p.start + 1, p.n) for p in pieces])
        categories = self._categories(prefix, parameters)
        frame = cohort_frame(ids, cohort, categories)
        known = {
            "patient_id": ids,
            "cohort_id": frame["cohort_id"].array,
            "planted": text_of(truth.pop("planted"), [text for _, text in PLANTS.values()]),
        }
        return CohortTables(
            to_cohort_table(frame),
            self._provenance(scenario, parameters),
            pd.DataFrame({**known, **truth}, copy=False),
            truth_features=truth_features(scenario, parameters),
        )

    def _categories(self, prefix: list[str], parameters: Parameters) -> dict[str, Sequence[str]]:
        sites = [name for name in parameters.raw["sites"] if name != "source"]
        return {
            "cohort_id": prefix,
            "site_id": [f"{p}-{site}" for p in prefix for site in sites],
            "arm": ("ici", "control"),
            "tumor_type": parameters.types,
            "sex": ("female", "male"),
            "drug_class": DRUG_CLASSES,
            "msi_status": ("MSS", "MSI-H"),
            "immune_phenotype": PHENOTYPES,
            "pdl1_assay": PDL1_ASSAYS,
            "pdl1_ic": ("IC0", "IC1", "IC2+"),
            "pdl1_tc": ("TC0", "TC1", "TC2+"),
            "tmb_panel": list(parameters.raw["panels"]["mb"]),
            "bor": BEST_RESPONSES,
            "irae_organ": list(parameters.raw["toxicity"]["organs"]),
        }

    def _provenance(self, scenario: Scenario, parameters: Parameters) -> Provenance:
        content = json.dumps([__version__, self.settings(), parameters.text], sort_keys=True)
        notes = [f"No patient exists: generated, scenario {self.scenario}, seed {self.seed}."]
        if self.control_fraction == 0:
            notes.append(
                "All patients receive immune checkpoint inhibitors: nothing here tells predictive from "
                "prognostic effects."
            )
        return Provenance(
            name=self.name,
            synthetic=True,
            source=f"immunocast generator {__version__}",
            digest=hashlib.sha256(content.encode()).hexdigest(),
            notes=tuple(notes),
        )

    def _draw(
        self, piece: _Piece, start: int, n: int, scenario: Scenario, parameters: Parameters
    ) -> tuple[Values, Values]:
        """Columns of cohort and truth of patients `start` to `start + n` of a cohort, as numbers and codes."""
        draws = Streams(self.seed, piece.label, start, n)
        shift = piece.place * self.cohort_shift
        tilt = shift + piece.place * scenario.case_mix_tilt
        share = scenario.share(parameters) * np.where(
            np.arange(len(parameters.types)) == parameters.nsclc, np.exp(tilt), 1
        )
        kind = pick(draws.uniform("type"), share / share.sum())
        nsclc = kind == parameters.nsclc
        ici = draws.uniform("arm") >= self.control_fraction
        true = draw_patients(kind, draws, parameters)

        scales, background = _solved(self.scenario)
        terms = response_terms(true, parameters, scenario.removed)
        effects = log_odds_of(true, terms, nsclc, parameters, scenario.removed)
        effects["tumor_type"] = scales.intercept[kind]
        effects["cohort"] = np.full(n, shift)
        p_response = expit(_sum(effects.values()))
        acts = acts_without_ici(scenario, parameters)
        p_control = expit(_sum([scales.control_intercept[kind] + shift, *(effects[name] for name in acts)]))
        shapley = shapley_values(true, terms, effects["tumor_type"], shift, nsclc, background)
        seen = read_assays(true, kind, piece.place, draws, scenario, parameters)
        p_own = np.where(ici, p_response, p_control)
        outcomes = draw_outcomes(true, kind, ici, p_own, draws, scales, scenario, parameters)

        sites = len(parameters.raw["sites"]) - 1
        combination = np.where(true["combination"] > 0, np.where(true["chemo"] > 0, 2, 1), 0)
        cohort: Values = {
            "cohort_id": np.full(n, piece.index, dtype=np.int8),
            "site_id": (piece.index * sites + seen.pop("site")).astype(np.int16),
            "arm": np.where(ici, 0, 1).astype(np.int8),
            "tumor_type": kind,
            "treatment_start_year": true["treatment_start_year"].astype(float),
            "age_years": true["age_years"],
            "sex": true["sex"].astype(np.int8),
            "prior_systemic_therapy": true["prior_systemic_therapy"],
            "drug_class": np.where(ici, combination, DRUG_CLASSES.index("none")).astype(np.int8),
            **{k: v for k, v in (*seen.items(), *outcomes.items()) if not k.startswith("latent_")},
        }
        for column in ("msi_status", "immune_phenotype"):
            cohort[column] = np.nan_to_num(cohort[column], nan=-1).astype(np.int8)
        for column in ("pdl1_ic", "pdl1_tc", "irae_organ", "tmb_panel", "pdl1_assay", "bor"):
            cohort[column] = cohort[column].astype(np.int8)
        planted = np.full(n, -1, dtype=np.int8)
        if piece.index < len(scenario.planted):
            name = scenario.planted[piece.index]
            planted[plant(name, cohort, true, draws)] = list(PLANTS).index(name)
        truth: Values = {
            "p_response": p_response,
            "p_response_control": p_control,
            "individual_effect": p_response - p_control,
            "planted": planted,
            **{f"effect_{parent}": e for parent, e in effects.items()},
            "shapley_base": np.full(n, background.base),
            **{f"shapley_{feature}": s for feature, s in shapley.items()},
            **{f"latent_{m}": true[f"z_{m}"] for m in parameters.mechanisms},
            "latent_prior_treatment": true["prior_systemic_therapy"],
            "latent_combination_therapy": true["combination"],
            "latent_pdl1_mrna": true["z_pdl1_mrna"],
            **{f"latent_{name}": true[name] for name in _TRUE_VALUES},
            **{k: v for k, v in (*seen.items(), *outcomes.items()) if k.startswith("latent_")},
        }
        return cohort, truth


@dataclass(frozen=True)
class _Piece:
    """Patients `start` to `start + n` of the cohort `label`, the `index`-th, at `place` between -1 and 1."""

    index: int
    label: str
    place: float
    start: int
    n: int


def _sum(arrays) -> np.ndarray:
    """Sum in the order given, the same for any number of rows."""
    first, *others = arrays
    total = first.copy()
    for values in others:
        total += values
    return total


@cache
def _solved(name: str) -> tuple[Scales, Background]:
    """What is solved for a scenario, on a reference sample that no user's seed changes."""
    parameters = load_parameters()
    scenario = Scenario.named(name, parameters)
    count = len(parameters.types)
    kind = np.repeat(np.arange(count, dtype=np.int8), 2 * _REFERENCE_SIZE)
    nsclc = kind == parameters.nsclc
    draws = ReferenceStreams("reference", _REFERENCE_SIZE, count)
    values = draw_patients(kind, draws, parameters)
    terms = response_terms(values, parameters, scenario.removed)
    effects = log_odds_of(values, terms, nsclc, parameters, scenario.removed)
    control = [effects[parent] for parent in acts_without_ici(scenario, parameters)]
    orr, share = parameters.orr, scenario.share(parameters)
    if "type_orr" in scenario.removed:
        orr = np.full_like(orr, (share * orr).sum())
    scales = solve_scales(
        values,
        _sum(effects.values()),
        _sum([np.zeros(len(kind)), *control]),
        draws,
        orr,
        scenario,
        parameters,
    )
    weight = np.repeat(share, 2 * _REFERENCE_SIZE) / (2 * _REFERENCE_SIZE)
    background = background_of(values, terms, scales.intercept[kind], nsclc, weight, parameters, scenario.removed)
    return scales, background


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


def _share(setting: str, value: Any, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ConfigError(f"cohort.{setting}: {value!r} is no number. Give one from 0 to {high:g}.")
    if not 0 <= float(value) <= high:
        raise ConfigError(f"cohort.{setting}: {value} is out of range. Give a number from 0 to {high:g}.")
    return float(value)


def _cohort_names(n_cohorts: int | Sequence[str]) -> list[str]:
    if isinstance(n_cohorts, Sequence) and not isinstance(n_cohorts, str):
        names = [_identifier("n_cohorts", value) for value in n_cohorts]
        if not names:
            raise ConfigError("cohort.n_cohorts: the list is empty. Name one cohort or more.")
        if len(set(names)) < len(names):
            twice = sorted({n for n in names if names.count(n) > 1})
            raise ConfigError(f"cohort.n_cohorts: {', '.join(twice)} is named twice. Give each cohort its own name.")
        if len(names) > 100:
            raise ConfigError("cohort.n_cohorts: more than 100 names. Ask for fewer cohorts.")
        return names
    count = _whole("n_cohorts", n_cohorts, 1, 26)
    return [chr(ord("A") + k) for k in range(count)]
