"""The frozen configuration as parameters: what a reader who compares runs sees of their settings."""

import pytest

from immunocast.config import frozen_yaml, load_config
from immunocast.store.runfolder import RunFolder
from immunocast.tracking.settings import setting_params


def said(tmp_path, *overrides):
    (tmp_path / "config.yaml").write_text(frozen_yaml(load_config(list(overrides))))
    return {param.key: param.value for param in setting_params(RunFolder(tmp_path))}


@pytest.mark.parametrize(
    ("override", "differ"),
    [
        ("models.ridge.estimator.C=0.5", {"settings.models.ridge.estimator.C"}),
        ("features.nlr.clip=[1,20]", {"settings.features.nlr.clip"}),
        ("evaluation.n_resamples=100", {"settings.evaluation.n_resamples"}),
        ("~features.fcna", {"settings.features.fcna"}),
        ("~models.pdl1_50", {f"settings.models.pdl1_50.{part}" for part in ("_target_", "marker", "cutoff", "source")}),
    ],
)
def test_two_runs_differ_in_what_was_changed(tmp_path, override, differ):
    one, two = said(tmp_path), said(tmp_path, override)
    assert {key for key in one | two if one.get(key) != two.get(key)} == {*differ, "config_digest"}


def test_the_same_settings_have_the_same_digest(tmp_path):
    assert said(tmp_path) == said(tmp_path, "seed=20261")


@pytest.mark.parametrize("cohort", ["loris", "synthetic", "[loris,oak]"])
def test_how_a_file_is_read_is_not_listed(tmp_path, cohort):
    found = said(tmp_path, f"cohort={cohort}", "models=full")
    assert "settings.cohort.name" in found
    assert not [key for key in found if key.startswith(("settings.cohort.columns", "settings.cohort.members"))]
    assert len(found) < 300
    assert max(map(len, found.values())) < 250


def test_a_folder_without_configuration_has_none(tmp_path):
    assert list(setting_params(RunFolder(tmp_path))) == []
