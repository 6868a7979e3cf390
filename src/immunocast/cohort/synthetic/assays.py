"""From what is in a patient to what a file shows: sites, readers, panels, RNA noise, and tests that were not done."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.special import expit, logit, ndtr, ndtri

from immunocast.cohort.synthetic.mechanisms import Values, tps_by_score
from immunocast.cohort.synthetic.parameters import Parameters, load_parameters
from immunocast.cohort.synthetic.response import Scenario
from immunocast.cohort.synthetic.streams import ByScore, Streams, pick, poisson

#: Columns that one assay yields together: they are missing together.
ASSAYS = {
    "rna": ("gep_score", "tgfb_score", "exhaustion_score", "immune_phenotype"),
    "dna": ("tmb_mut_mb", "tmb_panel", "fcna", "ap_loss", "stk11_mut"),
    "hla_loh": ("hla_loh",),
    "msi_status": ("msi_status",),
    "blood": ("nlr", "albumin_g_dl"),
    "hemoglobin_g_dl": ("hemoglobin_g_dl",),
    "platelets_10e9_l": ("platelets_10e9_l",),
    "antibiotics_60d": ("antibiotics_60d",),
}
PDL1_COLUMNS = ("pdl1_tps", "pdl1_assay", "pdl1_ic", "pdl1_tc")
PDL1_ASSAYS = ("22C3", "28-8", "SP263", "SP142")


@dataclass(frozen=True)
class Sites:
    """Sites of a cohort; (S,) each, assays and panels by code.

    Attributes
    ----------
    share : of the cohort's patients.
    assay : index into `PDL1_ASSAYS`.
    panel : (S, Y) index into the panels, by year.
    missing : log-odds by which tests are missing more often.
    """

    share: np.ndarray
    assay: np.ndarray
    panel: np.ndarray
    missing: np.ndarray


def sites_of(place: float, scenario: Scenario, parameters: Parameters) -> Sites:
    """Sites of the cohort at `place` (-1 the first, 1 the last); scenarios tilt their shares and missing tests."""
    rows = [row for name, row in parameters.raw["sites"].items() if name != "source"]
    panels, by_year = list(parameters.raw["panels"]["mb"]), parameters.raw["panels"]["impact_by_year"]
    tilt = np.exp(scenario.site_tilt * place * np.linspace(-1, 1, len(rows)))
    share = np.array([row["share"] for row in rows]) * tilt
    return Sites(
        share=share / share.sum(),
        assay=np.array([PDL1_ASSAYS.index(row["assay"]) for row in rows], dtype=np.int8),
        panel=np.array(
            [
                [panels.index(by_year[y] if row["panel"] == "IMPACT" else row["panel"]) for y in parameters.years]
                for row in rows
            ],
            dtype=np.int8,
        ),
        missing=np.array([row["missing"] for row in rows]) + scenario.missing_tilt * place,
    )


def reader_sd(z: np.ndarray, parameters: Parameters) -> np.ndarray:
    """Error of a reader of the 22C3 slide at the true normal score `z`: large for few stained cells."""
    r = parameters.raw["reader"]
    return r["sd_low"] + (r["sd_high"] - r["sd_low"]) * ndtr(z / 0.1)


@cache
def _tps_read() -> ByScore:
    """TPS by what a reader sees: its distribution is that of the readings in the workbook."""
    p = load_parameters()
    z = np.linspace(-8, 8, 1601)
    weight = np.exp(-z * z / 2)
    weight /= weight.sum()
    grid = np.linspace(-8, 8, 801)
    cdf = (ndtr((grid[:, None] - z) / reader_sd(z, p)) * weight).sum(axis=1)
    score = ndtri(np.clip(cdf, 1e-12, 1 - 1e-12))
    return ByScore(tps_by_score(p)(np.interp(ByScore.GRID, grid, score)))


def read_tps(z: np.ndarray, assay: np.ndarray, error: np.ndarray, parameters: Parameters) -> np.ndarray:
    """TPS in whole percent as a reader gives it.

    Parameters
    ----------
    z : (n,) true normal score of PD-L1 on tumour cells.
    assay : (n,) index into `PDL1_ASSAYS`.
    error : (n,) standard normal draws of the reader.
    parameters : the numbers of the cohort.
    """
    a = parameters.raw["reader"]["assays"]
    times, shift = (np.array([a[name][key] for name in PDL1_ASSAYS])[assay] for key in ("sd", "shift"))
    return np.rint(_tps_read()(z + shift + times * reader_sd(z, parameters) * error))


def read_assays(
    values: Values, kind: np.ndarray, place: float, draws: Streams, scenario: Scenario, parameters: Parameters
) -> Values:
    """What the laboratories of a cohort report.

    Parameters
    ----------
    values : output of `draw_patients`.
    kind : (n,) index of the type.
    place : of the cohort among the cohorts, -1 to 1.
    draws : the patients' random streams.
    scenario : what the scenario changes.
    parameters : the numbers of the cohort.

    Returns
    -------
    Numbers and codes by column, NaN or -1 where the test was not done; `site` (code), and
    latent_pdl1_second_read, the TPS of a second reader of the same slide.
    """
    sites = sites_of(place, scenario, parameters)
    site = pick(draws.uniform("site"), sites.share)
    year = (values["treatment_start_year"] - parameters.years[0]).astype(np.int8)
    out: Values = {"site": site, "pdl1_assay": sites.assay[site], "tmb_panel": sites.panel[site, year]}

    mb = np.array(list(parameters.raw["panels"]["mb"].values()))[out["tmb_panel"]]
    out["tmb_mut_mb"] = np.round(poisson(draws.uniform("panel"), values["tmb_mut_mb"] * mb) / mb, 2)
    out["pdl1_tps"] = read_tps(values["z_pdl1"], out["pdl1_assay"], draws.normal("reader"), parameters)
    second = read_tps(values["z_pdl1"], out["pdl1_assay"], draws.normal("second_reader"), parameters)
    low, middle = parameters.raw["reader"]["immune_cell_shares"]
    is_sp142 = out["pdl1_assay"] == PDL1_ASSAYS.index("SP142")
    out["pdl1_ic"] = np.where(
        is_sp142, pick(ndtr(values["z_immune_cells"]), np.array([low, middle, 1 - low - middle])), -1
    )
    out["pdl1_tc"] = np.where(is_sp142, (out["pdl1_tps"] >= 1).astype(np.int8) + (out["pdl1_tps"] >= 5), -1)
    batch = scenario.rna_batch * place
    for column, name in (("gep_score", "gep"), ("tgfb_score", "tgfb"), ("exhaustion_score", "exhaustion_score")):
        out[column] = np.round(values[f"z_{name}"] + batch, 3)
    out["msi_status"] = values["msi_high"]
    unread = ("immune_phenotype", "fcna", "ap_loss", "stk11_mut", "hla_loh", "nlr", "albumin_g_dl")
    for column in (*unread, "hemoglobin_g_dl", "platelets_10e9_l", "antibiotics_60d"):
        out[column] = values[column]
    out["stk11_mut"] = np.where(kind == parameters.nsclc, values["stk11_mut"], np.nan)

    tested = draws.uniform("tps_tested") < _share_tested(kind, year, sites.missing[site], parameters)
    _blank(out, PDL1_COLUMNS, ~tested)
    for assay, columns in ASSAYS.items():
        m = parameters.raw["missing"][assay]
        log_odds = logit(m["share"]) + sites.missing[site] + m["year"] * (values["treatment_start_year"] - 2017)
        if "types" in m:
            log_odds += np.array([m["types"].get(t, 0.0) for t in parameters.types])[kind]
        _blank(out, columns, draws.uniform(f"missing_{assay}") < expit(log_odds))
    return {**out, "latent_pdl1_second_read": second}


def _blank(out: Values, columns: tuple[str, ...], rows: np.ndarray) -> None:
    for column in columns:
        out[column] = np.where(rows, np.nan if out[column].dtype.kind == "f" else -1, out[column])


def _share_tested(kind: np.ndarray, year: np.ndarray, missing: np.ndarray, parameters: Parameters) -> np.ndarray:
    """(n,) probability that PD-L1 was tested: the type's share, following the years as in NSCLC, shifted by site."""
    by_year = np.array(list(parameters.raw["pdl1_tps"]["tested_by_year"].values()), dtype=float)
    scale = parameters.by_type("tps_tested") / (parameters.year_given_type @ by_year)
    share = np.clip(scale[kind] * by_year[year], 0, 1)
    return share / (share + (1 - share) * np.exp(missing))
