"""The shipped mappings on the shared public files: every count against what the sources state."""

import hashlib

import numpy as np
import pandas as pd
import pytest

from immunocast.cohort.loading import prepare_cohort
from immunocast.cohort.outcomes import make_labels
from immunocast.cohort.registry import load_registry
from immunocast.config import build, conf_dir, frozen, load_config

MAPPED = ("imvigor210", "liu2019", "riaz2017", "vanallen2015", "oak", "msk_mind", "khan2025", "sayer2023")


@pytest.fixture(scope="module")
def load(data_dir):
    """Load a cohort by its name; each file is read once."""
    loaded = {}

    def load(name):
        if name not in loaded:
            cfg = load_config([f"cohort={name}", f"paths.data={data_dir}"])
            loaded[name] = build(cfg.cohort, "cohort").load()
        return loaded[name]

    return load


@pytest.fixture(scope="module")
def raw(data_dir):
    """A file as it stands, all cells text."""

    def raw(folder):
        path = data_dir / "cohorts" / folder / "cohort.csv"
        return pd.read_csv(path, dtype=str, keep_default_na=False)

    return raw


def counts(series):
    return {k: int(v) for k, v in series.value_counts().items()}


@pytest.mark.parametrize(
    ("name", "patients", "responders", "evaluable", "pfs_events", "os_events"),
    [
        ("imvigor210", 348, 68, 298, None, 232),
        ("liu2019", 144, 55, 140, 103, 72),
        ("riaz2017", 73, 15, 70, 58, 42),
        ("vanallen2015", 42, 7, 41, 36, 29),
        ("oak", 850, 58, 395, 755, 569),
        # 247 rows, one of them nearly empty
        ("msk_mind", 246, 61, 246, 209, 151),
        ("khan2025", 162, 0, 0, None, None),
        # 354 rows, one patient is there twice; one died without progression
        ("sayer2023", 353, 0, 0, 296, 206),
    ],
)
def test_patients_responders_and_events_are_those_of_the_source(
    load, name, patients, responders, evaluable, pfs_events, os_events
):
    cohort = load(name).cohort
    y = make_labels(cohort, "response").y
    assert len(cohort) == patients
    assert (int(y.sum()), int(y.notna().sum())) == (responders, evaluable)
    for column, events in (("pfs_event", pfs_events), ("os_event", os_events)):
        if events is None:
            assert column not in cohort
        else:
            assert int(cohort[column].sum()) == events
            assert cohort[column].notna().all()


@pytest.mark.parametrize("name", MAPPED)
def test_no_check_stops_the_cohort_and_no_row_is_lost_uncounted(load, raw, name):
    tables = load(name)
    settings = frozen(load_config([f"cohort={name}", "endpoint=response"]))
    prepared = prepare_cohort(
        tables, endpoint="response", features=[], linkage=settings["linkage"], waive=settings["checks"]["waive"]
    )
    # a file without responses cannot be trained on; that is said where a model is asked for
    errors = prepared.checks[(prepared.checks["severity"] == "error") & prepared.checks["waived_because"].isna()]
    assert errors.empty, errors["message"].tolist()
    left_out = sum(c["n"] for c in tables.checks if c["code"] == "IC-FILE-005")
    folder = load_registry().entry(name).files[0].path.split("/")[1]
    assert len(tables.cohort) + left_out == len(raw(folder))


@pytest.mark.parametrize("name", [*MAPPED, "loris"])
def test_the_mapping_was_tested_with_the_file_that_the_registry_names(data_dir, name):
    cfg = load_config([f"cohort={name}"])
    entry = load_registry().entry(name)
    table = entry.files[0]
    assert (entry.config, table.path) == (name, cfg.cohort.file)
    assert cfg.cohort.sha256 == table.tested_sha256
    assert hashlib.sha256((data_dir / table.path).read_bytes()).hexdigest() == cfg.cohort.sha256
    expression = cfg.cohort.get("expression")
    assert [f.path for f in entry.files[1:]] == ([expression.file] if expression else [])


def test_every_entry_of_the_registry_has_a_configuration():
    there = {p.stem for p in (conf_dir() / "cohort").glob("*.yaml")}
    assert {e.config for e in load_registry().cohorts.values()} <= there


def test_imvigor210(load):
    c = load("imvigor210").cohort
    assert c["person_id"].nunique() == 347
    twice = c[c["person_id"].duplicated(keep=False)]
    assert sorted(twice["patient_id"]) == ["SAM8e43e9caf307", "SAM99b1f6a9534e"]
    assert counts(c["bor"]) == {"PD": 167, "SD": 63, "NE": 50, "PR": 43, "CR": 25}
    assert counts(c["pdl1_ic"]) == {"IC1": 132, "IC2+": 118, "IC0": 97}
    assert counts(c["pdl1_tc"]) == {"TC0": 275, "TC2+": 50, "TC1": 22}
    assert counts(c["immune_phenotype"]) == {"excluded": 134, "desert": 76, "inflamed": 74}
    assert c["tmb_mut_mb"].notna().sum() == 272
    assert c["neoantigen_mut_mb"].notna().sum() == 245
    assert c["gep_score"].notna().sum() == 195
    assert int(c["prior_systemic_therapy"].sum()) == 272
    # domain facts: inflamed tumours respond more often, and their score is higher
    y = make_labels(c, "response").y
    orr = y.astype("float64").groupby(c["immune_phenotype"]).mean()
    assert orr.round(2).to_dict() == {"desert": 0.20, "excluded": 0.25, "inflamed": 0.31}
    assert c.groupby("immune_phenotype")["gep_score"].median().idxmax() == "inflamed"


def test_liu2019(load, raw, data_dir):
    c, source = load("liu2019").cohort, raw("liu2019_melanoma")
    assert counts(c["bor"]) == {"PD": 65, "PR": 38, "SD": 20, "CR": 17, "NE": 4}
    assert counts(c["biopsy_timing"]) == {"pre": 139, "on": 5}
    assert np.allclose(c["pfs_months"], source["PFS"].astype(float) / (365.25 / 12))
    assert (c["pfs_months"] <= c["os_months"]).all()
    assert c["age_years"].notna().sum() == 84
    assert c["ecog"].notna().sum() == 139
    assert c["gep_score"].notna().sum() == 74
    assert int(c["prior_systemic_therapy"].sum()) == 73
    # the portal's study of the same patients has the same rule for TMB, rounded
    portal = pd.read_csv(data_dir / "cbioportal/mel_dfci_2019/data_clinical_sample.txt", sep="\t", comment="#")
    theirs = portal.set_index("PATIENT_ID")["TMB_NONSYNONYMOUS"].reindex(c["patient_id"]).to_numpy()
    assert np.abs(theirs / c["tmb_mut_mb"].to_numpy() - 1).max() < 0.11
    assert np.corrcoef(theirs, c["tmb_mut_mb"])[0, 1] > 0.9999


def test_riaz2017(load, raw):
    c, source = load("riaz2017").cohort, raw("riaz2017_nivolumab")
    dead = (source["Dead/Alive(Dead = True)"] == "True").astype(int)
    assert c["os_event"].tolist() == dead.tolist()
    # everybody with PD progressed: the flags are turned the right way
    assert c.loc[c["bor"] == "PD", "pfs_event"].eq(1).all()
    assert counts(c["bor"]) == {"PD": 31, "SD": 24, "PR": 12, "NE": 3, "CR": 3}
    assert c["mutation_count"].notna().sum() == 68
    assert c["cyt_score"].notna().sum() == 23
    assert c["prior_systemic_therapy"].dropna().eq(1).all()
    assert (c["pfs_months"] <= c["os_months"]).all()


def test_vanallen2015(load, raw):
    c, source = load("vanallen2015").cohort, raw("vanallen2015_ctla4")
    assert counts(c["bor"]) == {"PD": 27, "SD": 7, "PR": 5, "CR": 2}
    days = source["survival_time_os"].astype(float) * 30.5
    assert np.allclose(c["os_months"], days / (365.25 / 12))
    assert c["tmb_mut_mb"].notna().sum() == 40
    assert c["gep_score"].notna().sum() == 42
    assert set(c["drug_class"]) == {"ctla4"}


def test_oak(load):
    c = load("oak").cohort
    assert counts(c["arm"]) == {"ici": 425, "control": 425}
    ici = c[c["arm"] == "ici"]
    assert counts(ici["bor"]) == {"PD": 187, "SD": 150, "PR": 52, "CR": 6, "NE": 5}
    assert counts(c["bor"]) == {"SD": 327, "PD": 304, "PR": 108, "NE": 24, "CR": 7}
    assert c["btmb_count"].notna().sum() == 642
    assert set(c.loc[c["arm"] == "control", "drug_class"]) == {"none"}
    assert counts(c["pdl1_tc_ic"]) == {"TC0 and IC0": 379, "TC1-2 or IC1-2": 326, "TC3 or IC3": 137}
    both = make_labels(c, {"name": "response", "arms": ["ici", "control"]})
    assert (int(both.y.sum()), int(both.y.notna().sum())) == (115, 746)


def test_msk_mind(load, raw):
    c, source = load("msk_mind").cohort, raw("msk_mind2022_nsclc")
    assert counts(c["bor"]) == {"PD": 137, "PR": 55, "SD": 48, "CR": 6}
    source = source[source["Status"] != ""].reset_index(drop=True)
    told = pd.to_numeric(source["Overall survival"], errors="coerce")
    assert told.notna().sum() == 151
    assert c["os_months"].notna().all()
    assert (c["os_months"] - told).abs().max() < 0.06
    assert (c["pfs_months"] <= c["os_months"] + 0.05).all()
    reread = pd.to_numeric(source["JS PD-L1 score"], errors="coerce")
    assert c.loc[reread.notna().to_numpy(), "pdl1_tps"].tolist() == reread.dropna().tolist()
    assert c["pdl1_tps"].notna().all()
    assert c["dnlr"].notna().all()
    assert "nlr" not in c
    assert counts(c["drug_class"]) == {"pd1": 186, "pdl1": 48, "pd1_ctla4": 12}
    assert counts(c["msi_status"]) == {"MSS": 170, "MSI-H": 4}


def test_khan2025(load, raw):
    tables, source = load("khan2025"), raw("khan2025_irae")
    c = tables.cohort
    assert counts(c["irae_grade"]) == {0: 66, 2: 56, 3: 36, 1: 4}
    assert int(c["irae"].sum()) == 96
    assert int((c["irae_grade"] >= 2).sum()) == (source["iraE_occurrence"] == "Grade 2+").sum() == 92
    assert c["il8_pg_ml"].notna().sum() == 146
    # 'OOR <' is below the range of the assay, not 0; a leading * is a mark, not part of the number
    assert c["il6_pg_ml"].isna().sum() == 16 + (source["IL-6"] == "OOR <").sum()
    starred = source["IL-6"].str.startswith("*")
    assert c.loc[starred, "il6_pg_ml"].tolist() == source.loc[starred, "IL-6"].str.strip("*").astype(float).tolist()
    y = make_labels(c, "irae_grade3").y
    assert (int(y.sum()), int(y.notna().sum())) == (36, 162)


def test_sayer2023(load, raw):
    c, source = load("sayer2023").cohort, raw("sayer2023_nsclc_irae")
    assert int(c["irae"].sum()) == (source["irAE.1_pos_neg"] == "positive").sum() == 152
    assert c["patient_id"].is_unique
    # progression-free survival of those who did not progress is censored, not lost
    assert c["pfs_months"].notna().all()
    assert (c["pfs_months"] <= c["os_months"]).all()
    assert int(c["age_years"].eq(89).sum()) == 2 + (source["Age.at.diagnosis"] == "89").sum()
    ranges = pd.cut(c["pdl1_tps"], [-1, 0.99, 49.99, 100], labels=["Negative", "1-49%", ">=50%"])
    kept = source[source["X"] != "15"].reset_index(drop=True)
    known = ranges.notna()
    assert (ranges[known].astype(str) == kept.loc[known, "PD.L1.Range"]).all()
    assert known.sum() == 353 - 127 - 3  # not reported; and '>1%' or '<10%' only
    assert counts(c.loc[c["irae"] == 1, "irae_grade"]) == {1: 35, 2: 17, 3: 6, 4: 1}
    assert c.loc[c["irae"] == 0, "irae_grade"].eq(0).all()


def test_days_weeks_and_months_never_mix(load):
    """Median overall survival of each cohort in months, as published or as the source's own column says."""
    medians = {name: load(name).cohort["os_months"].median() for name in MAPPED if name != "khan2025"}
    assert all(5 < m < 40 for m in medians.values()), medians


@pytest.mark.slow
def test_patients_of_msk_mind_are_those_of_vanguri(data_dir):
    cfg = load_config(["cohort=[loris,msk_mind]", f"paths.data={data_dir}"])
    settings = frozen(cfg)
    tables = build(cfg.cohort, "cohort").load()
    cohort = prepare_cohort(
        tables, endpoint="response", features=[], linkage=settings["linkage"], waive=settings["checks"]["waive"]
    ).cohort
    persons = cohort.groupby("cohort_id")["person_id"].agg(set)
    assert len(persons["Vanguri_NSCLC"] & persons["msk_mind"]) >= 243
