"""From a reader's tables to a prepared cohort."""

from dataclasses import replace

import pandas as pd
import pytest

from immunocast.cohort.checks import finding
from immunocast.cohort.loading import prepare_cohort
from immunocast.cohort.synthetic import SyntheticCohort
from immunocast.errors import ConfigError
from immunocast.store.schemas import conform

LINKAGE = {"posterior": 0.99, "inside": None}


@pytest.fixture(scope="module")
def tables():
    return SyntheticCohort(n_patients=300, seed=13).load()


def prepare(tables, **more):
    settings = {"endpoint": "response", "features": ["nlr", "tumor_type"], "linkage": None, "waive": {}, **more}
    return prepare_cohort(tables, **settings)


def twins(tables, synthetic):
    """The first three patients of cohort A appear once more, in cohort B."""
    cohort = tables.cohort
    copies = cohort.iloc[:3].assign(
        patient_id=["x1", "x2", "x3"], person_id=["x1", "x2", "x3"], cohort_id="synthetic-B"
    )
    both = pd.concat([cohort, copies], ignore_index=True)
    return replace(tables, cohort=both, provenance=replace(tables.provenance, synthetic=synthetic))


def test_linked_persons_are_counted_and_reported(tables):
    prepared = prepare(twins(tables, synthetic=False), linkage=LINKAGE)
    assert prepared.n_linked == 6
    links = prepared.checks[prepared.checks["code"] == "IC-LINK-001"]
    assert links["n"].tolist() == [3]
    assert prepared.cohort["person_id"].nunique() == 300


@pytest.mark.parametrize(("synthetic", "linkage"), [(True, LINKAGE), (False, None)])
def test_nobody_is_linked_where_it_makes_no_sense(tables, synthetic, linkage):
    assert prepare(twins(tables, synthetic), linkage=linkage).n_linked == 0


def test_findings_of_the_reader_notes_and_waivers_go_into_one_table(tables):
    more = replace(
        tables,
        checks=[finding("IC-FILE-001", "warning", "another file")],
        provenance=replace(tables.provenance, notes=("TMB was corrected",)),
    )
    prepared = prepare(more, waive={"IC-FILE-001": "checked by hand"})
    by_code = prepared.checks.set_index("code")
    assert by_code.loc["IC-FILE-001", "waived_because"] == "checked by hand"
    assert by_code.loc["IC-NOTE-001", "message"] == "TMB was corrected"
    assert more.checks[0]["waived_because"] is None, "the reader's finding stays as it is"
    assert len(conform("checks", prepared.checks)) == len(prepared.checks)
    assert prepared.flow["read"] == len(prepared.cohort) == 300


def test_settings_are_checked_before_anything_is_done(tables):
    with pytest.raises(ConfigError, match=r"linkage\.tolerances: unknown"):
        prepare(tables, linkage={"tolerances": {}})  # also for synthetic patients, who are not linked
    with pytest.raises(ConfigError, match="Unknown endpoint"):
        prepare(tables, endpoint="cure")
