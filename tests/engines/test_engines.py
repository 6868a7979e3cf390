"""Engines keep the order of the items and refuse settings that mean nothing."""

import pytest

from immunocast.engines import JoblibEngine, SerialEngine
from immunocast.errors import ConfigError

ENGINES = [SerialEngine(), JoblibEngine(1), JoblibEngine(3), JoblibEngine(2, "loky")]


@pytest.mark.parametrize("engine", ENGINES)
def test_order_of_the_items(engine):
    # defined here: a process worker cannot import a test module by name
    def work(i):
        import time

        time.sleep(0.02 if i == 0 else 0)
        return i * i

    assert engine.map(work, iter(range(8))) == [i * i for i in range(8)]
    assert engine.map(work, []) == []


@pytest.mark.parametrize("engine", ENGINES)
def test_closures_and_errors_pass(engine):
    offset = 5
    assert engine.map(lambda i: i + offset, [1, 2]) == [6, 7]

    def fail(i):
        raise ConfigError(f"item {i}")

    with pytest.raises(ConfigError, match="item 3"):
        engine.map(fail, [3])


@pytest.mark.parametrize("engine", ENGINES)
def test_one_blas_thread_everywhere(engine):
    def threads(_):
        from threadpoolctl import threadpool_info

        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    import numpy  # noqa: F401

    for counts in engine.map(threads, [1, 2, 3]):
        assert set(counts) <= {1}


def test_settings():
    with pytest.raises(ConfigError, match=r"engine\.backend is 'dask'"):
        JoblibEngine(backend="dask")
    with pytest.raises(ConfigError, match=r"engine\.n_jobs is 0"):
        JoblibEngine(n_jobs=0)
