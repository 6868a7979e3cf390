"""Names, settings and arms of endpoints; what they are called."""

import pytest

from immunocast.cohort.outcomes import ENDPOINTS, Endpoint, make_endpoint, make_labels, require_labels, words_of
from immunocast.errors import ConfigError

NAMES = ["response", "dcb", "primary_resistance", "acquired_resistance", "irae", "irae_grade3", "os", "pfs"]


def test_all_endpoints():
    assert list(ENDPOINTS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_settings_round_trip(name):
    endpoint = make_endpoint(name)
    assert isinstance(endpoint, Endpoint)
    assert make_endpoint(endpoint.to_dict()) == endpoint
    assert make_endpoint(endpoint) is endpoint
    assert endpoint.to_dict()["name"] == name


def test_a_setting_that_the_endpoint_lacks_is_refused_with_those_that_it_has():
    with pytest.raises(
        ConfigError, match=r"endpoint\.horizon_months: dcb has no such setting\. It has: arms, durable_"
    ):
        make_endpoint({"name": "dcb", "horizon_months": 12})
    with pytest.raises(ConfigError, match=r"endpoint\.ne: os has no such setting"):
        make_endpoint({"name": "os", "ne": "exclude"})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"name": "dcb", "durable_months": 0}, r"durable_months is 0; it must be a number above 0"),
        ({"name": "response", "ne": "drop"}, r"ne is 'drop'; it must be exclude, or non_response"),
        (
            {"name": "primary_resistance", "exposure_weeks": -1},
            r"exposure_weeks is -1; it must be a number of 0 or more",
        ),
        ({"name": "response", "arms": []}, r"arms is \[\]; it must be a list of ici and control"),
        ({"name": "response", "arms": "ici"}, r"arms is 'ici'"),
        ({"name": "response", "arms": ["placebo"]}, r"arms is \['placebo'\]"),
        ({"name": "orr"}, r"Unknown endpoint 'orr'\. Known: response, dcb"),
        ({}, r"Unknown endpoint None"),
    ],
)
def test_wrong_values_are_named(settings, words):
    with pytest.raises(ConfigError, match=words):
        make_endpoint(settings)


def test_a_control_arm_is_left_out_unless_it_is_asked_for(table):
    cohort = table(
        bor=["CR", "CR", "PD", "PD", "NE"],
        arm=["ici", "control", None, None, "control"],
        drug_class=["pd1", "none", "pd1", "none", "none"],
    )
    labels = make_labels(cohort, "response")
    assert labels.y.tolist()[0] == 1
    assert labels.y.tolist()[2] == 0, "an unknown arm counts as ici"
    assert labels.reasons == {"control arm: no checkpoint inhibitor": 3}
    assert labels.of_arms.tolist() == [True, False, True, False, False]
    both = make_labels(cohort, {"name": "response", "arms": ["ici", "control"]})
    assert both.reasons == {"response not evaluable (NE)": 1}
    control = make_labels(cohort, {"name": "response", "arms": ["control"]})
    assert control.reasons["treated with a checkpoint inhibitor"] == 2


def test_flags_are_told_of_the_arms_only(table):
    cohort = table(bor=["PD", "PD"], pfs_months=[9.0, 9.0], pfs_event=[1, 1], arm=["ici", "control"])
    (rows,) = make_labels(cohort, "dcb").flags.values()
    assert rows.tolist() == [True, False]


@pytest.mark.parametrize("name", NAMES)
def test_nobody_with_a_label_names_the_needs_and_the_reasons(name, table):
    endpoint = make_endpoint(name)
    labels = endpoint.label(table(age_years=[60, 70]))
    with pytest.raises(ConfigError) as caught:
        require_labels(labels, endpoint)
    message = str(caught.value)
    assert repr(name) in message
    assert endpoint.needs in message
    assert "the source has no column" in message
    assert "(2)" in message


@pytest.mark.parametrize("name", NAMES)
def test_words(name):
    endpoint, words = make_endpoint(name), words_of(name)
    assert words.harm is (endpoint.direction == "harm")
    assert (endpoint.markers == "same") is (endpoint.direction == "benefit")
    # "responder" is the word of one endpoint only
    assert ("responder" in " ".join((words.title, words.events, words.others, words.event))) is (name == "response")
    assert len({words.events, words.others, words.event, words.other}) == 4
    assert (words.rate == "ORR") is (name == "response")


def test_words_carry_the_settings_and_unknown_endpoints_have_some():
    assert words_of("os", {"name": "os", "horizon_months": 24}).events == "patients who died within 24 months"
    assert "3 months" in words_of("dcb", {"name": "dcb", "durable_months": 3}).title
    assert "day 90" in words_of("irae", {"name": "irae", "landmark_days": 90}).title
    assert words_of("hyper_progression").events == "patients with hyper progression"
