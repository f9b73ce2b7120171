"""A Dask cluster (extra `cluster`): one that is there, or workers on this machine; and whether its workers fit.

Workers need the same versions as the command, for the same bytes, and its files under the same paths.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.extras import missing_extra

if TYPE_CHECKING:
    from distributed import Client

_LOCAL = "local:"
_WAIT_SECONDS = 60
_VERSIONS = ("fastmri-cls", "numpy", "pillow", "pydicom", "nibabel")  # what pixels depend on


@contextmanager
def dask_client(where: str) -> Iterator["Client"]:
    """Connect to a cluster that has a worker; end it afterwards if it was started here.

    Args:
        where: the address of a scheduler, such as tcp://10.0.0.5:8786, or local:N for N worker processes here.

    Raises:
        UserError: Dask is not installed, `where` makes no sense, or no scheduler or worker is there.
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise UserError(f"--dask: {missing_extra('cluster')}") from None
    if where.startswith(_LOCAL):
        count = where.removeprefix(_LOCAL)
        if not count.isdigit() or int(count) < 1:
            raise UserError(f"--dask {where}: give the number of workers, as in local:4")
        # Without a memory limit, results wait in memory and never on disk, where a DICOM's patient would be readable.
        options = {"threads_per_worker": 1, "dashboard_address": "127.0.0.1:0", "memory_limit": 0}
        with LocalCluster(n_workers=int(count), host="127.0.0.1", **options) as cluster, Client(cluster) as client:
            yield client
        return
    with ExitStack() as stack:
        try:
            client = stack.enter_context(Client(where, timeout=_WAIT_SECONDS))
            client.wait_for_workers(1, timeout=_WAIT_SECONDS)
        except (OSError, ValueError) as error:  # a TimeoutError is an OSError
            raise UserError(f"--dask {where}: no scheduler with a worker answers ({error})") from None
        yield client


def check_workers(client: "Client", where: str, paths: list[Path]) -> None:
    """Check that every worker has this program's versions, and sees `paths` with the sizes and times they have here.

    Raises:
        UserError: a worker does not.
    """
    here = describe_worker(paths)
    try:
        workers = client.run(describe_worker, paths)
    except ImportError as error:
        raise UserError(f"--dask {where}: a worker lacks {error.name}; install fastmri-cls there") from None
    for worker, there in workers.items():
        for name, (mine, other) in {key: (here[key], there[key]) for key in here}.items():
            if mine != other:
                raise UserError(
                    f"--dask {where}: {name} is {mine} here and {other} on worker {worker}; workers need the same "
                    "versions, and the same files under the same paths"
                )


def describe_worker(paths: list[Path]) -> dict[str, str]:
    """Return the versions of packages in this process, and size and time of change of each path."""
    facts = {}
    for name in _VERSIONS:
        try:
            facts[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            facts[name] = "not installed"
    for path in paths:
        try:
            found = path.stat()
            facts[str(path)] = f"{found.st_size} bytes of {found.st_mtime_ns}"
        except OSError as error:
            facts[str(path)] = f"unreadable ({error.strerror})"
    return facts
