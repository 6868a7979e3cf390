"""Endpoints on the public cohorts: counts by hand from their files, and shares that the field knows."""

import pytest

from immunocast.cohort.outcomes import make_labels, participant_flow
from immunocast.config import build, conf_dir, load_config


@pytest.fixture(scope="module")
def read(data_dir):
    """read("loris") -> cohort table; skips where the cohort has no configuration."""
    cache = {}

    def reader(name):
        if not (conf_dir() / f"cohort/{name}.yaml").is_file():
            pytest.skip(f"there is no cohort {name} in conf/")
        if name not in cache:
            cfg = load_config([f"cohort={name}", f"paths.data={data_dir}"])
            cache[name] = build(cfg.cohort, "cohort").load().cohort
        return cache[name]

    return reader


@pytest.mark.parametrize(
    ("endpoint", "analysed", "events"),
    [
        ("response", 2522, 712),
        ("dcb", 2508, 972),
        ("primary_resistance", 1999, 1027),
        ("acquired_resistance", 790, 284),
        ("os", 2069, 951),
        ("pfs", 2483, 1622),
        ("irae", 0, 0),
    ],
)
def test_counts_of_loris(read, endpoint, analysed, events):
    cohort = read("loris")
    flow = participant_flow(cohort, make_labels(cohort, endpoint))
    assert (flow["read"], flow["analysed"], flow["events"]) == (2522, analysed, events)
    assert sum(flow["no_endpoint"].values()) == 2522 - analysed


def test_shares_of_loris_are_those_that_the_field_knows(read):
    """49 % of responders progress later; 71 % of non-responders progress within 3 months (69 % of this workbook)."""
    cohort = read("loris")
    response = make_labels(cohort).y
    progressed = cohort["pfs_event"].astype("float64")
    assert (progressed[response == 1] == 1).mean() == pytest.approx(0.49, abs=0.01)
    within = make_labels(cohort, {"name": "pfs", "horizon_months": 3}).y
    assert within[response == 0].mean() == pytest.approx(0.71, abs=0.03)
    dcb = make_labels(cohort, "dcb").y
    assert (dcb[response == 1] == 1).all(), "a response is a benefit"
    assert 0.30 < dcb.mean() < 0.45


def test_a_control_arm_is_left_out(read, data_dir):
    overrides = ["cohort=loris", "cohort.cohorts=[MSK1,MSK_nonICB]", f"paths.data={data_dir}"]
    cohort = build(load_config(overrides).cohort, "cohort").load().cohort
    labels = make_labels(cohort, "os")
    assert labels.reasons["control arm: no checkpoint inhibitor"] == 841
    both = make_labels(cohort, {"name": "os", "arms": ["ici", "control"]})
    assert both.y[cohort["cohort_id"] == "MSK_nonICB"].notna().sum() > 500


def test_the_randomised_control_of_oak(read):
    labels = make_labels(read("oak"), "response")
    assert labels.reasons["control arm: no checkpoint inhibitor"] == 425
    assert (labels.y.notna().sum(), labels.y.sum()) == (395, 58)


def test_durable_benefit_by_the_flag_of_the_source(read):
    """The study gives durable benefit and PFS, and no best response; its flag agrees with PFS everywhere."""
    labels = make_labels(read("nsclc_pd1_msk_2018"), "dcb")
    assert (labels.y == 1).sum() == 69
    assert (labels.y == 0).sum() == 158
    assert labels.reasons == {"best overall response unknown": 13}
    assert not [words for words in labels.flags if "says" in words]


def test_toxicity_of_khan(read):
    cohort = read("khan2025")
    for name, events in (("irae", 96), ("irae_grade3", 36)):
        labels = make_labels(cohort, name)
        assert (labels.y.notna().sum(), labels.y.sum()) == (162, events)


@pytest.mark.parametrize(
    ("name", "endpoint"),
    [("imvigor210", "dcb"), ("imvigor210", "primary_resistance"), ("sayer2023", "dcb"), ("khan2025", "os")],
)
def test_a_source_that_could_tell_one_class_only_gives_no_labels(read, name, endpoint):
    labels = make_labels(read(name), endpoint)
    assert labels.y.isna().all()
    assert any(reason.startswith("the source has no column") for reason in labels.reasons)
