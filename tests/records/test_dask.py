"""A build on a Dask cluster: the same bytes, even if a worker is killed; a cluster that does not fit is refused."""

import os
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from fastmri_cls.foundation.dask_cluster import check_workers, dask_client, describe_worker
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.records.build import BuildOptions, build_dataset
from fastmri_cls.records.workers import open_pool
from fastmri_cls.sources.classes import ClassNames
from fastmri_cls.sources.folders import SourceFile, parse_sources

distributed = pytest.importorskip("distributed", reason="the extra cluster is not installed")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def scheduler():
    """The address of a cluster with two workers."""
    options = {"threads_per_worker": 1, "dashboard_address": "127.0.0.1:0", "memory_limit": 0}
    with distributed.LocalCluster(n_workers=2, host="127.0.0.1", **options) as cluster:
        yield cluster.scheduler_address


def shards(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.glob("*.tfrecord")}


def test_a_build_has_the_same_bytes_though_a_worker_is_killed(
    scheduler: str, phantom_sources: dict[str, Path], dataset: Path, tmp_path: Path
) -> None:
    killed = []

    def kill_one_that_works() -> None:
        with distributed.Client(scheduler) as client:
            pids = client.run(os.getpid)
            deadline = time.monotonic() + 60
            while not killed and time.monotonic() < deadline:
                busy = [pids[worker] for worker, tasks in client.processing().items() if tasks]
                for pid in busy[:1]:
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)
                time.sleep(0.005)

    killer = threading.Thread(target=kill_one_that_works)
    killer.start()
    sources = parse_sources([f"{name}={path}" for name, path in phantom_sources.items()])
    build_dataset(sources, ClassNames(), BuildOptions(image_size=64), tmp_path / "out", scheduler)
    killer.join()
    assert killed
    assert shards(tmp_path / "out") == shards(dataset)
    assert (tmp_path / "out" / "images.csv").read_bytes() == (dataset / "images.csv").read_bytes()


def test_workers_see_no_patient_and_have_to_see_the_files(scheduler: str, tmp_path: Path) -> None:
    def file(name: str) -> SourceFile:
        return SourceFile("a", tmp_path / name, name, None, "glioma", "patient 1")

    (tmp_path / "scan.png").write_bytes(b"here")
    with open_pool(scheduler, [file("scan.png")]) as pool:
        assert pool.size == 2
        assert [sent.patient for sent in pool.prepare([file("scan.png")])] == [""]


def test_a_worker_that_differs_is_named_with_what_differs(tmp_path: Path) -> None:
    here = describe_worker([tmp_path])
    there = here | {str(tmp_path): "unreadable (no such file)"}
    client = SimpleNamespace(run=lambda *_: {"tcp://10.0.0.6:40": there})
    message = r"--dask 10.0.0.5: /.* bytes of \d+ here and unreadable .* on worker tcp://10.0.0.6:40; "
    with pytest.raises(UserError, match=message):
        check_workers(client, "10.0.0.5", [tmp_path])


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("local:none", "give the number of workers, as in local:4"),
        ("127.0.0.1:1", "no scheduler with a worker answers"),
    ],
)
def test_a_cluster_that_is_not_there_is_named(where: str, message: str, monkeypatch) -> None:
    monkeypatch.setattr("fastmri_cls.foundation.dask_cluster._WAIT_SECONDS", 1)
    with pytest.raises(UserError, match=f"--dask {where}: {message}"), open_pool(where, []):
        pass


def test_a_scheduler_without_a_worker_is_refused_and_no_client_stays_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastmri_cls.foundation.dask_cluster._WAIT_SECONDS", 1)
    with distributed.LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address="127.0.0.1:0") as cluster:
        with (
            pytest.raises(UserError, match="no scheduler with a worker answers"),
            dask_client(cluster.scheduler_address),
        ):
            pytest.fail("the work began")
        with pytest.raises(ValueError, match="No client"):
            distributed.default_client()
