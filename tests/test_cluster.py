"""A real scheduler and two workers on loopback."""

from __future__ import annotations

import logging
import os
import socket
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from distributed import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hazardrank import cluster
from hazardrank.cluster import connected, windowed
from hazardrank.errors import ClusterError, LayerError
from hazardrank.settings import ComputeSettings
from tests.started_cluster import started_cluster, wait_until

# Functions that go to workers are made inside functions, so that they travel by value:
# the workers know of the package, not of its tests.


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with connected(ComputeSettings(backend="dask", workers=2)) as client:
        yield client


def doubling(client: Client, **options):
    return partial(client.submit, lambda item: 2 * item, pure=False, **options)


# ------------------------------------------------------------------------------- window


def test_every_item_is_done_once(client):
    assert sorted(windowed(client, doubling(client), [3, 1, 2, 1], 2)) == [2, 2, 4, 6]


def test_no_items_need_no_work(client):
    assert list(windowed(client, doubling(client), [], 2)) == []


@given(items=st.lists(st.integers(-9, 9), max_size=20), window=st.integers(1, 30))
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_same_results_come_whatever_order_and_window(client, items, window):
    results = windowed(client, doubling(client), items, window)
    assert Counter(results) == Counter(2 * item for item in items)


def test_a_slow_task_holds_up_no_other(client):
    def slow_first(item):
        time.sleep(0.5 if item == 0 else 0)
        return item

    submit = partial(client.submit, slow_first, pure=False)
    order = list(windowed(client, submit, range(12), 4))
    assert sorted(order) == list(range(12))
    assert order[0] != 0


def test_no_more_than_the_window_is_alive_here_or_at_the_scheduler(client):
    window, taken, most_alive, most_known = 5, 0, 0, 0

    def items():
        nonlocal taken
        for item in range(60):
            taken += 1
            yield item

    for n_done, _ in enumerate(windowed(client, doubling(client), items(), window), start=1):
        most_alive = max(most_alive, taken - n_done)
        known = client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks))
        most_known = max(most_known, known)
    assert taken == 60
    assert most_alive == window
    # The scheduler may hear a moment later that a result is no longer wanted.
    assert most_known <= 2 * window


def test_turning_away_cancels_what_is_under_way(client):
    results = windowed(client, doubling(client), range(1000), 5)
    next(results)
    results.close()
    wait_until(lambda: not client.futures)


# ------------------------------------------------------------------ failures and losses


def test_a_task_that_fails_is_tried_again(client, tmp_path):
    def fails_twice(item):
        (tmp_path / f"{item}-{time.monotonic_ns()}").touch()
        if len(list(tmp_path.glob(f"{item}-*"))) <= 2:
            raise OSError("not yet")
        return item

    submit = partial(client.submit, fails_twice, pure=False, retries=2)
    assert sorted(windowed(client, submit, range(3), 3)) == [0, 1, 2]
    assert len(list(tmp_path.iterdir())) == 9


def test_a_task_that_fails_on_every_try_says_so(client, tmp_path):
    def fails(item):
        (tmp_path / str(time.monotonic_ns())).touch()
        raise OSError("disk of the moon")

    submit = partial(client.submit, fails, pure=False, retries=2)
    with pytest.raises(ClusterError, match=r"failed on every try \(OSError: disk of the moon\)"):
        list(windowed(client, submit, [1], 2))
    assert len(list(tmp_path.iterdir())) == 3
    wait_until(lambda: not client.futures)


def test_an_error_of_ours_keeps_its_kind_and_its_remedy(client):
    def fails(item):
        raise LayerError("it is missing", where="roads", remedy="Give it.")

    submit = partial(client.submit, fails, pure=False)
    with pytest.raises(LayerError, match=r"roads: it is missing\. Give it\."):
        list(windowed(client, submit, [1], 2))


def test_a_timeout_of_a_task_is_a_failure_and_not_a_wait(client):
    def fails(item):
        raise TimeoutError("the store is slow")

    submit = partial(client.submit, fails, pure=False)
    with pytest.raises(ClusterError, match="TimeoutError: the store is slow"):
        list(windowed(client, submit, [1], 2))


def test_a_worker_lost_costs_only_what_it_was_doing(client, tmp_path):
    """The eleventh task kills its worker: the rest is not done again."""

    def dies_once(item):
        (tmp_path / f"{item}-{os.getpid()}").touch()
        died = tmp_path / "died"
        if item == 10 and not died.exists():
            died.touch()
            os.kill(os.getpid(), 9)
        time.sleep(0.01)
        return item

    window = 4
    submit = partial(client.submit, dies_once, pure=False, retries=0)
    assert sorted(windowed(client, submit, range(40), window)) == list(range(40))
    begun = Counter(int(path.name.split("-")[0]) for path in tmp_path.glob("*-*"))
    assert begun[10] == 2
    assert sum(begun.values()) - 40 <= window


def test_a_task_that_kills_every_worker_is_given_up():
    def dies(item):
        os.kill(os.getpid(), 9)

    with (
        connected(ComputeSettings(backend="dask", workers=2, retries=0)) as client,
        pytest.raises(ClusterError, match=r"failed on every try .*KilledWorker"),
    ):
        list(windowed(client, partial(client.submit, dies, pure=False), [1], 2))


def test_work_does_not_wait_for_ever_for_workers(monkeypatch):
    monkeypatch.setattr(cluster, "WITHOUT_WORKERS_S", 0)
    monkeypatch.setattr(cluster, "_LOOK_EVERY_S", 0.2)
    with connected(ComputeSettings(backend="dask", workers=2)) as client:
        results = windowed(client, _sleeping(client), range(9), 3)
        next(results)
        _lose_all_workers(client)
        with pytest.raises(ClusterError, match="all workers are lost"):
            list(results)


def test_a_scheduler_that_dies_is_told_apart_from_a_task_that_fails(tmp_path):
    with started_cluster(tmp_path) as started:
        compute = ComputeSettings(backend="dask", scheduler=started.address)
        with connected(compute) as client:
            results = windowed(client, _sleeping(client), range(9), 3)
            next(results)
            started.scheduler.kill()
            with pytest.raises(ClusterError, match="the scheduler is lost"):
                list(results)


def _sleeping(client: Client):
    return partial(client.submit, lambda item: time.sleep(0.3), pure=False)


def _lose_all_workers(client: Client) -> None:
    client.cluster.scale(0)
    wait_until(lambda: not client.nthreads())


# ------------------------------------------------------------------------------ reaching


def test_workers_are_processes_of_their_own_that_were_not_forked(client):
    def kind():
        import multiprocessing

        return os.getpid(), multiprocessing.get_start_method()

    found = client.run(kind)
    assert len({pid for pid, _ in found.values()} - {os.getpid()}) == 2
    assert {method for _, method in found.values()} == {"spawn"}


def test_the_cluster_listens_to_this_machine_only(client):
    addresses = [client.scheduler.address, *client.nthreads()]
    assert all(address.startswith("tcp://127.0.0.1:") for address in addresses)


def test_a_cluster_that_runs_is_reached(client):
    address = client.scheduler.address
    with connected(ComputeSettings(backend="dask", scheduler=address)) as second:
        assert sorted(windowed(second, doubling(second), [1, 2], 2)) == [2, 4]


def test_an_address_where_nothing_listens_is_named(monkeypatch):
    monkeypatch.setattr(cluster, "CONNECT_TIMEOUT_S", 1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    compute = ComputeSettings(backend="dask", scheduler=f"tcp://127.0.0.1:{port}")
    with (
        pytest.raises(ClusterError, match=rf"127.0.0.1:{port}.*does not answer within 1 s.*Start"),
        connected(compute),
    ):
        pass


def test_an_address_that_is_none_is_named():
    compute = ComputeSettings(backend="dask", scheduler="nonsense://here")
    with pytest.raises(ClusterError, match="scheduler=nonsense"), connected(compute):
        pass


def test_a_scheduler_without_workers_is_named(monkeypatch):
    with connected(ComputeSettings(backend="dask", workers=1)) as client:
        _lose_all_workers(client)
        monkeypatch.setattr(cluster, "CONNECT_TIMEOUT_S", 1)
        compute = ComputeSettings(backend="dask", scheduler=client.scheduler.address)
        with (
            pytest.raises(ClusterError, match=r"no worker within 1 s.*dask worker"),
            connected(compute),
        ):
            pass


def test_a_worker_of_another_version_is_refused():
    def grow_old():
        from hazardrank import versions

        known = versions.installed()
        versions.installed = lambda: {**known, "lightgbm": "3.0"}

    with connected(ComputeSettings(backend="dask", workers=1)) as client:
        client.run(grow_old)
        compute = ComputeSettings(backend="dask", scheduler=client.scheduler.address)
        with (
            pytest.raises(ClusterError, match=r"runs lightgbm 3\.0, this machine .*requirements"),
            connected(compute),
        ):
            pass


def test_a_worker_without_this_project_is_refused():
    def forget():
        from hazardrank import versions

        del versions.installed

    with connected(ComputeSettings(backend="dask", workers=1)) as client:
        client.run(forget)
        compute = ComputeSettings(backend="dask", scheduler=client.scheduler.address)
        with (
            pytest.raises(ClusterError, match="the workers cannot run this project"),
            connected(compute),
        ):
            pass


def test_logs_are_as_loud_afterwards_as_before(capfd):
    logger = logging.getLogger("distributed.client")
    before = logger.level
    with connected(ComputeSettings(backend="dask", workers=1)) as client:
        assert logger.level == logging.CRITICAL
        client.submit(lambda: 1 / 0).exception()
    assert logger.level == before
    assert capfd.readouterr().err == ""


def test_warnings_of_the_caller_are_not_swallowed(client):
    compute = ComputeSettings(backend="dask", scheduler=client.scheduler.address)
    with connected(compute), pytest.warns(UserWarning, match="mine"):
        warnings.warn("mine", UserWarning, stacklevel=1)


def test_settings_name_a_scheduler_only_for_dask():
    with pytest.raises(ValueError, match="scheduler is for compute=dask"):
        ComputeSettings(scheduler="tcp://127.0.0.1:8786")


def test_every_file_of_the_group_names_its_backend(project: Path):
    import yaml

    for path in sorted((project / "configs" / "compute").glob("*.yaml")):
        found = ComputeSettings.model_validate(yaml.safe_load(path.read_text()))
        assert found.backend == {"local": "threads"}.get(path.stem, path.stem)
