"""Checks with codes: planted leaks are found, honest markers are not, and a waiver needs a reason."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from immunocast.cohort.checks import (
    CHECKS,
    apply_waivers,
    check_cohort,
    check_performance,
    finding,
    raise_on_errors,
    to_checks_table,
)
from immunocast.cohort.checks.registry import register
from immunocast.cohort.outcomes import make_labels
from immunocast.cohort.synthetic import SyntheticCohort
from immunocast.cohort.table import Provenance
from immunocast.errors import CheckError, ConfigError
from immunocast.store.schemas import conform

REAL = Provenance("x", False, "somewhere", "0")
FEATURES = (
    "albumin_g_dl",
    "nlr",
    "tmb_mut_mb",
    "tumor_type",
    "pdl1_tps",
    "msi_status",
    "ecog",
    "prior_systemic_therapy",
)


@pytest.fixture(scope="module")
def cohort():
    return SyntheticCohort(n_patients=600, seed=12).load().cohort


@pytest.fixture(scope="module")
def y(cohort):
    return make_labels(cohort).y


def codes(cohort, y, features=FEATURES, provenance=REAL):
    return {(f["code"], f["cohort_id"], f["column"]) for f in check_cohort(cohort, y, provenance, features)}


def leaks(cohort, y):
    return {(code, column) for code, _, column in codes(cohort, y) if "LEAK" in code}


def test_honest_markers_raise_no_alarm(cohort, y):
    assert leaks(cohort, y) == set()


@pytest.mark.parametrize("sign", [1, -1])
def test_outcome_under_a_markers_name_with_noise(cohort, y, sign):
    noise = np.random.default_rng(0).normal(0, 0.3, len(y))
    planted = cohort.assign(albumin_g_dl=3.9 + sign * (y.astype("float64").fillna(0.5) - 0.5) + 1.0 * noise)
    found = codes(planted, y)
    assert {c for code, c, column in found if (code, column) == ("IC-LEAK-001", "albumin_g_dl")} == set(
        cohort["cohort_id"]
    )
    with pytest.raises(CheckError, match=r"IC-LEAK-001 synthetic-A: Albumin .* AUROC (0.9|1.0)"):
        raise_on_errors(to_checks_table(check_cohort(planted, y, REAL, FEATURES)))


def test_outcome_as_a_category_and_as_a_binary(cohort, y):
    rng = np.random.default_rng(0)
    wrong = rng.random(len(y)) < 0.03
    answer = (y.fillna(0).astype(int).to_numpy() == 1) ^ wrong
    kinds = np.where(answer, rng.choice(["Renal", "Gastric"], len(y)), rng.choice(["NSCLC", "Ovarian"], len(y)))
    assert leaks(cohort.assign(tumor_type=pd.Series(kinds, dtype="str")), y) == {("IC-LEAK-001", "tumor_type")}
    binary = cohort.assign(prior_systemic_therapy=pd.array(answer.astype(int), dtype="Int64"))
    assert leaks(binary, y) == {("IC-LEAK-001", "prior_systemic_therapy")}


def test_outcome_as_missingness(cohort, y):
    gone = (y == 1).fillna(False).to_numpy(dtype=bool) ^ (np.random.default_rng(0).random(len(y)) < 0.03)
    planted = cohort.assign(nlr=cohort["nlr"].fillna(4).where(~gone))
    assert ("IC-LEAK-002", "nlr") in leaks(planted, y)
    kinds = cohort["tumor_type"].where(gone)
    assert ("IC-LEAK-002", "tumor_type") in leaks(cohort.assign(tumor_type=kinds), y)


def test_unlabelled_patients_do_not_matter(cohort, y):
    planted = cohort.assign(albumin_g_dl=cohort["albumin_g_dl"].where(y.notna(), 6.9))
    assert leaks(planted, y) == set()


def test_imputed_constants(cohort, y):
    rng = np.random.default_rng(0)
    for share, expected in ((1.0, True), (0.96, True), (0.80, False)):
        constant = cohort["nlr"].fillna(4).where(rng.random(len(y)) > share, 6.2)
        found = {
            c for code, c, column in codes(cohort.assign(nlr=constant), y) if (code, column) == ("IC-CONST-001", "nlr")
        }
        assert bool(found) is expected, share
    assert not [c for c in codes(cohort, y) if c[0] == "IC-CONST-001"]
    (message,) = {
        f["message"] for f in check_cohort(cohort.assign(nlr=6.2), y, REAL, ["nlr"]) if f["code"] == "IC-CONST-001"
    }
    assert "NLR is 6.2 for 100% of the measured patients" in message


def test_missing_columns_survival_events_and_view(cohort, y):
    found = codes(cohort.assign(tmb_mut_mb=np.nan), y, (*FEATURES, "crp_mg_l"))
    missing = {column for code, _, column in found if code == "IC-MISS-001"}
    assert {"tmb_mut_mb", "crp_mg_l"} <= missing
    assert "albumin_g_dl" not in missing
    longer = cohort.assign(pfs_months=cohort["os_months"] + 1)
    (first, *_) = [f for f in check_cohort(longer, y, REAL, []) if f["code"] == "IC-SURV-001"]
    assert first["n"] == (cohort["cohort_id"] == first["cohort_id"]).sum()
    assert len(first["rows"].split(";")) == 20
    assert not [c for c in codes(cohort, y) if c[0] == "IC-SURV-001"]
    few = cohort.groupby("cohort_id").head(20).reset_index(drop=True)
    assert "IC-EVENTS-001" in {c[0] for c in codes(few, make_labels(few).y)}
    published = Provenance("x", False, "s", "0", view="as_published")
    assert [f["severity"] for f in check_cohort(cohort, y, published, []) if f["code"] == "IC-VIEW-001"] == ["error"]


def test_every_code_of_the_sources_is_in_the_register():
    from pathlib import Path

    import immunocast

    assert len(CHECKS) >= 40
    source = "\n".join(p.read_text() for p in Path(immunocast.__file__).parent.rglob("*.py"))
    assert set(re.findall(r"IC-[A-Z]+-\d{3}", source)) == set(CHECKS)


def test_a_code_is_registered_once_and_with_all_its_texts():
    known = CHECKS["IC-LEAK-001"]
    with pytest.raises(ValueError, match="IC-LEAK-001 is registered twice"):
        register([known])
    for wrong, why in (
        (replace(known, code="IC-NEW-001"), "IC-FAMILY-NNN"),
        (replace(known, code="LEAK-9"), "IC-FAMILY-NNN"),
        (replace(known, code="IC-LEAK-999", mend=" "), "mend is empty"),
    ):
        with pytest.raises(ValueError, match=why):
            register([wrong])
    assert "IC-LEAK-999" not in CHECKS


def test_severities_are_those_of_the_register(cohort, y):
    published = Provenance("x", False, "s", "0", view="as_published")
    planted = cohort.assign(nlr=6.2, albumin_g_dl=y.astype("float64").fillna(0) + 3, pfs_months=400.0)
    found = check_cohort(planted, y, published, (*FEATURES, "crp_mg_l"))
    assert len({f["code"] for f in found}) >= 5
    assert all(f["severity"] == CHECKS[f["code"]].severity for f in found)


def test_waivers():
    found = [
        finding("IC-LEAK-001", "error", "a", cohort_id="A", column="nlr"),
        finding("IC-LEAK-001", "error", "b", cohort_id="B", column="albumin_g_dl"),
        finding("IC-LEAK-002", "error", "c", cohort_id="A", column="nlr"),
    ]

    def waived(waive):
        return [f["message"] for f in apply_waivers(found, waive) if f["waived_because"]]

    assert waived({}) == []
    assert waived({"IC-LEAK-001": "simulated"}) == ["a", "b"]
    assert waived({"IC-LEAK-001:nlr": "simulated"}) == ["a"]
    assert waived({"IC-LEAK-001:B": "simulated"}) == ["b"]
    assert waived({"IC-SURV-001": "simulated"}) == []
    assert found[0]["waived_because"] is None
    for reason in ("", "  ", None):
        with pytest.raises(ConfigError, match=r"checks\.waive\.IC-LEAK-001 needs a reason"):
            apply_waivers(found, {"IC-LEAK-001": reason})
    with pytest.raises(ConfigError, match=r"IC-LEAK-999: there is no such check"):
        apply_waivers(found, {"IC-LEAK-999": "simulated"})


def test_a_percentage_given_as_fraction_is_an_error(cohort, y):
    wrong = cohort.assign(pdl1_tps=cohort["pdl1_tps"] / 100)
    assert "IC-UNIT-001" in {f["code"] for f in check_cohort(wrong, y, REAL, FEATURES)}
    assert "IC-UNIT-001" not in {f["code"] for f in check_cohort(cohort, y, REAL, FEATURES)}
    whole = cohort.assign(pdl1_tps=(cohort["pdl1_tps"] > 50).astype(float))
    assert "IC-UNIT-001" not in {f["code"] for f in check_cohort(whole, y, REAL, FEATURES)}


def test_a_leak_over_many_tiny_cohorts_is_found(cohort, y):
    """No cohort has ten events of its own, all of them together do."""
    tiny = cohort.assign(
        cohort_id=[f"c{i % 60}" for i in range(len(cohort))],
        albumin_g_dl=3.5 + 0.5 * y.astype("float64").fillna(0),
    )
    assert tiny.groupby("cohort_id").size().max() <= 10
    leaks = [f for f in check_cohort(tiny, y, REAL, FEATURES) if f["code"] == "IC-LEAK-001"]
    assert [(f["cohort_id"], f["column"]) for f in leaks] == [(None, "albumin_g_dl")]


def test_raise_on_errors_names_all_and_the_way_on():
    found = [
        finding("IC-LEAK-001", "error", "first", cohort_id="A"),
        finding("IC-CONST-001", "warning", "second", cohort_id="A"),
        finding("IC-VIEW-001", "error", "third"),
    ]
    with pytest.raises(CheckError) as error:
        raise_on_errors(to_checks_table(found))
    text = str(error.value)
    assert "IC-LEAK-001 A: first" in text
    assert "IC-VIEW-001 third" in text
    assert "second" not in text
    assert error.value.exit_code == 3
    waive = {"IC-LEAK-001": "known", "IC-VIEW-001": "a reproduction"}
    raise_on_errors(to_checks_table(apply_waivers(found, waive)))
    with pytest.raises(CheckError, match="IC-VIEW-001"):
        raise_on_errors(to_checks_table(apply_waivers(found, {"IC-LEAK-001": "known"})))


def test_the_way_on_that_the_message_shows_can_be_typed():
    from immunocast.config import frozen, load_config

    with pytest.raises(CheckError) as error:
        raise_on_errors(to_checks_table([finding("IC-LEAK-001", "error", "x")]))
    override = str(error.value).rsplit("reason: ", 1)[1]
    assert frozen(load_config([override]))["checks"]["waive"] == {"IC-LEAK-001": "why this is no leak"}


def test_the_checks_table_keeps_nulls_also_through_its_schema():
    for found in ([], [finding("IC-NOTE-001", "info", "note")]):
        table = conform("checks", to_checks_table(found))
        assert len(table) == len(found)
        assert table["waived_because"].isna().all()
        raise_on_errors(table)


def test_performance_too_good_to_be_true():
    rows = pd.DataFrame(
        [
            ("auroc", "m", "A", "all", 0.95, 0.92, 0.98), ("auroc", "m", "B", "all", 0.83, 0.75, 0.9),
            ("auroc", "m", "C", "all", 0.70, 0.6, 0.8), ("auroc", "m", "pooled", "all", 0.99, 0.98, 1.0),
            ("auroc", "m", "A", "sex", 0.99, 0.95, 1.0), ("brier", "m", "A", "all", 0.99, 0.95, 1.0),
            ("auroc", "m", "D", "all", np.nan, np.nan, np.nan),
        ],
        columns=["metric", "model", "cohort_id", "subgroup", "estimate", "ci_low", "ci_high"],
    ).assign(n=100, recalibration="none")  # fmt: skip
    rows = pd.concat([rows, rows.assign(recalibration="platt")])
    assert [(f["code"], f["cohort_id"]) for f in check_performance(rows, False)] == [
        ("IC-PERF-001", "A"), ("IC-PERF-002", "B"),
    ]  # fmt: skip
    assert check_performance(rows, True) == []
