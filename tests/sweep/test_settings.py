"""conf/sweep: every file composes, and what cannot be searched is refused."""

import pytest

from immunocast.config import conf_dir
from immunocast.errors import ConfigError
from immunocast.sweep.settings import as_word, load_settings, n_workers
from immunocast.sweep.words import parse

RANGE = "sweep.search.models.ridge.estimator.C={low: 0.01, high: 1, log: true}"


@pytest.mark.parametrize("name", sorted(p.stem for p in (conf_dir() / "sweep").glob("*.yaml")))
def test_every_file_composes(name):
    more = [RANGE] if name == "optuna" else []
    found = load_settings(parse([f"sweep={name}", *([f"+{more[0]}"] if more else [])]))
    assert found.kind == ("grid" if name == "grid" else "optuna")


def test_ranges_of_the_command_line_have_dotted_names():
    found = load_settings(parse(["sweep=optuna", "+" + RANGE, "sweep.objective.metric=brier"]))
    assert dict(found.search) == {"models.ridge.estimator.C": {"low": 0.01, "high": 1, "log": True}}
    assert found.objective.direction == "minimise"
    assert found.objective.name == "brier of the headline model"


def test_a_grid_can_stand_in_a_file(tmp_path):
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep/mine.yaml").write_text(
        "kind: grid\nvary: {features: [default, linear_tmb], models.ridge.estimator.C: [0.1, 1]}\nworkers: 2\n"
    )
    found = load_settings(parse(["sweep=mine", "--config-dir", str(tmp_path)]))
    assert [(v.key, v.values) for v in found.vary] == [
        ("features", ("default", "linear_tmb")),
        ("models.ridge.estimator.C", ("0.1", "1")),
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sweep=grdi"], "grid"),
        (["sweep=grid", "sweep.n_trials=3"], "n_trials"),
        (["sweep.workers=0"], "sweep.workers is 0"),
        (["sweep.workers=two"], "whole number"),
        (["sweep.fresh=3"], "true or false"),
        (["sweep=optuna"], "nothing to search"),
        (["sweep=ridge", "sweep.n_trials=0"], "sweep.n_trials is 0"),
        (["sweep=optuna", "+sweep.search.seed={low: 1, high: 2}"], "not what is asked"),
        (["sweep=optuna", "+sweep.search.cohort={choices: [a, b]}"], "not what is asked"),
        (["sweep=optuna", "+sweep.search.features={low: 3}"], "low and high"),
        (["sweep=ridge", "sweep.objective.metric=aurocc"], "auroc"),
        (["sweep=ridge", "sweep.objective.metric=net_benefit"], "needs one of evaluation.thresholds"),
        (["sweep=ridge", "sweep.objective.threshold=0.3"], "has none"),
        (["sweep=ridge", "sweep.objective.direction=minimise"], "auroc is to maximise"),
        (["sweep=ridge", "+sweep.objective.cohort=MSK1"], "always an estimate over all cohorts"),
    ],
)
def test_what_is_refused(words, said):
    with pytest.raises(ConfigError, match=said):
        load_settings(parse(words))


def test_the_setting_comes_before_the_launcher():
    words = parse(["seed=1,2", "hydra/launcher=joblib", "hydra.launcher.n_jobs=3", "sweep.workers=2"])
    assert n_workers(load_settings(words), words) == 2
    words = parse(["seed=1,2", "hydra/launcher=joblib", "hydra.launcher.n_jobs=3"])
    assert n_workers(load_settings(words), words) == 3
    words = parse(["seed=1,2"])
    assert n_workers(load_settings(words), words) == 1


def test_values_come_back_as_they_were():
    for value in (1, 0.25, 1e-05, True, None, "a b", "it's", "x=y,z", [1, "a,b"]):
        (found,) = parse([f"k={as_word(value)}", "sweep=x"]).fixed
        from hydra.core.override_parser.overrides_parser import OverridesParser

        parsed = OverridesParser.create().parse_override(found).value()
        plain = [getattr(v, "text", v) for v in parsed] if isinstance(parsed, list) else getattr(parsed, "text", parsed)
        assert plain == value
