"""What Optuna proposes, and what it may not look at."""

import optuna
import pytest
from omegaconf import OmegaConf

from immunocast.errors import ConfigError
from immunocast.sweep import study as module
from immunocast.sweep.settings import load_settings
from immunocast.sweep.study import Study, make_study, refuse_held_out
from immunocast.sweep.words import parse

C = "models.ridge.estimator.C"


@pytest.fixture
def study(monkeypatch):
    """A study whose jobs are not composed: only what is proposed is looked at."""
    monkeypatch.setattr(module, "compose_job", lambda words, own=(): own)
    monkeypatch.setattr(module, "digest_of", lambda own: " ".join(own) or "as configured")
    words = parse(["sweep=ridge", "sweep.n_trials=10", "sweep.batch=4"])
    return Study(words, load_settings(words), {C: 0.1, "features": "default"}, "12ab")


def reached(job):
    """An objective that knows a best C."""
    return -abs(float(job.params[C]) - 0.5)


def all_trials(study):
    trials, jobs = [], []
    for number in range(study.n_batches()):
        batch = study.jobs(number, trials)
        jobs += batch
        trials += [(job.params, reached(job)) for job in batch]
    return jobs, trials


def test_trial_one_is_the_settings_as_they_stand(study):
    first = study.jobs(0, [])[0]
    assert first.words == ()
    assert dict(first.settings) == {C: "0.1", "features": "default"}


def test_a_batch_knows_the_batches_before_and_nothing_else(study):
    jobs, trials = all_trials(study)
    assert [job.number for job in jobs] == list(range(1, 11))
    assert [len(study.batch(n)) for n in range(study.n_batches())] == [4, 4, 2]
    # proposed anew, as by a sweep that was killed: the same
    assert [j.words for j in study.jobs(1, trials[:4])] == [j.words for j in jobs[4:8]]
    assert len({j.words for j in jobs}) > 6
    for job in jobs[1:]:
        assert 0.001 <= job.params[C] <= 10
        assert job.words == tuple(f"{k}={v!r}" if k == C else f"{k}={v}" for k, v in job.params.items())


def test_the_journal_can_be_read_by_optuna_and_grows(study, tmp_path):
    from immunocast.sweep.folder import SweepFolder

    folder = SweepFolder(tmp_path / "search-12ab")
    folder.path.mkdir()
    _, trials = all_trials(study)
    study.keep(folder, [*trials[:3], (trials[3][0], None)])
    study.keep(folder, trials)
    storage = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(folder.path / "optuna.log"))
    )
    found = optuna.load_study(study_name="search-12ab", storage=storage)
    assert found.direction == optuna.study.StudyDirection.MAXIMIZE
    assert [t.value for t in found.trials[:3]] == [value for _, value in trials[:3]]
    assert found.trials[3].state == optuna.trial.TrialState.FAIL
    assert len(found.trials) == 10
    assert found.best_trial.params[C] == max(trials, key=lambda t: -9 if t == trials[3] else t[1])[0][C]


@pytest.mark.parametrize("scheme", ["external", "train_test", "temporal"])
def test_held_out_patients_are_not_searched_on(scheme):
    with pytest.raises(ConfigError, match="no test any more"):
        refuse_held_out(scheme)
    refuse_held_out("repeated_kfold")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["seed=1,2"], "seed has several values"),
        (["validation=external", "validation.test=[synthetic-2]"], "held-out test set"),
    ],
)
def test_what_a_search_refuses(words, said):
    typed = parse(["sweep=ridge", *words])
    with pytest.raises(ConfigError, match=said):
        make_study(typed, load_settings(typed))


def test_a_searched_setting_exists():
    cfg = OmegaConf.create({"models": {"ridge": {"C": 0.1}}, "features": {"nlr": {}}})
    assert module._current(cfg, {"features": "default"}, "features") == "default"
    assert module._current(cfg, {}, "models.ridge.C") == 0.1
    with pytest.raises(ConfigError, match="no such setting"):
        module._current(cfg, {}, "models.ridge.D")
    with pytest.raises(ConfigError, match="is a section"):
        module._current(cfg, {}, "models.ridge")
