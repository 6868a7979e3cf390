"""The section `survival` of the configuration: defaults, overrides, and what is refused before anything runs."""

import pytest

from immunocast.config import check, load_config, survival_settings
from immunocast.errors import ConfigError
from immunocast.validation.evaluate_survival_inputs import SurvivalSettings


def test_the_file_says_the_defaults():
    assert survival_settings(load_config()) == SurvivalSettings()


def test_overrides_arrive():
    found = survival_settings(
        load_config(
            [
                "survival.outcomes=[os]",
                "survival.horizons_months=[24,12]",
                "survival.landmark_days=60",
                "survival.models=[ridge]",
                "evaluation.min_events=20",
            ]
        )
    )
    assert found == SurvivalSettings(
        outcomes=("os",), horizons_months=(12, 24), landmark_days=60, models=("ridge",), min_events=20
    )
    check(load_config(["survival.outcomes=[]", "survival.irae_landmark_days=null"]))


@pytest.mark.parametrize(
    ("override", "word"),
    [
        ("survival.outcomes=os", "must be a list"),
        ("survival.horizons_months=12", "must be a list"),
        ("survival.outcomes=[dfs]", "'dfs'"),
        ("survival.horizons_months=[0]", "survival.horizons_months"),
        ("survival.horizons_months=[a]", "survival.horizons_months"),
        ("survival.risk_groups=4", "survival.risk_groups is 4"),
        ("survival.landmark_days=-5", "survival.landmark_days"),
        ("survival.landmark_days=soon", "survival.landmark_days"),
        ("survival.models=[ridgid]", "'ridgid'"),
        ("survival.models=ridge", "survival.models"),
        ("+survival.speed=1", "speed"),
    ],
)
def test_what_cannot_work_is_refused(override, word):
    with pytest.raises(ConfigError, match=word):
        check(load_config([override]))
