"""What a sweep's command line means, and what it refuses."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from immunocast.errors import ConfigError
from immunocast.sweep.jobs import settings_of
from immunocast.sweep.words import parse


def test_the_last_setting_changes_fastest_and_fixed_words_keep_their_order():
    words = parse(["-m", "experiment=quick", "features=default,linear_tmb", "~models.forest", "seed=range(1,4)"])
    assert words.fixed == ("experiment=quick", "~models.forest")
    assert words.grid()[:4] == [
        ("features=default", "seed=1"),
        ("features=default", "seed=2"),
        ("features=default", "seed=3"),
        ("features=linear_tmb", "seed=1"),
    ]
    assert len(words.grid()) == 6


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(-9, 9), min_size=2, max_size=4), min_size=1, max_size=3))
def test_a_grid_is_the_product_of_its_values(values):
    typed = [f"k{i}={','.join(map(str, v))}" for i, v in enumerate(values)]
    found = [tuple(settings_of(own).values()) for own in parse(typed).grid()]
    assert found == [tuple(map(str, c)) for c in itertools.product(*values)]


def test_lists_are_values_and_so_are_lists_of_cohorts():
    words = parse(["cohort=[loris,oak],imvigor210", "evaluation.thresholds=[0.1,0.2],[0.3]"])
    assert [own[0] for own in words.grid()][::2] == ["cohort=[loris,oak]", "cohort=imvigor210"]
    assert words.varied[1].values == ("[0.1,0.2]", "[0.3]")


def test_a_list_alone_does_not_vary():
    assert parse(["cohort=[loris,oak]"]).varied == ()


def test_the_launcher_says_how_many_at_a_time():
    assert parse(["seed=1,2"]).workers is None
    assert parse(["seed=1,2", "hydra/launcher=basic"]).workers == 1
    assert parse(["seed=1,2", "hydra/launcher=joblib"]).workers == -1
    assert parse(["seed=1,2", "hydra/launcher=joblib", "hydra.launcher.n_jobs=3"]).workers == 3


def test_a_folder_of_ones_own_is_kept_apart():
    assert parse(["--config-dir", "mine", "seed=1,2"]).config_dir == "mine"
    assert parse(["-m", "--config-dir=mine"]).config_dir == "mine"


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("tracking=none,sqlite", "what a run is, not where it lies"),
        ("paths.runs=a,b", "what a run is, not where it lies"),
        ("hydra/launcher=submitit", "basic and joblib"),
        ("hydra/sweeper=optuna", "sweep=optuna"),
        ("hydra.sweep.dir=x", "paths.sweeps"),
        ("hydra.launcher.n_jobs=many", "whole number"),
        ("features=glob(*)", "glob and shuffle"),
        ("seed=interval(1,2)", "without steps"),
        ("seed", "cannot be read"),
        ("--cfg", "does not go with a sweep"),
    ],
)
def test_what_is_refused(word, said):
    with pytest.raises(ConfigError, match=said):
        parse(["-m", word])
