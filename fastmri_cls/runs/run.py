"""The RUN folder: its config.json, read wherever an earlier RUN is used, and the lock of the one who writes it."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastmri_cls.foundation.atomic import is_leftover
from fastmri_cls.foundation.errors import UserError

FILE_NAME = "config.json"
LOG_NAME = "train.log"
_LARGEST_SIZE = 1 << 14  # pixels; far above what build-tfrecords makes
_NEEDED = ("model", "classes", "image_size", "channels", "protocol", "dataset")


def read_config(run: Path) -> dict[str, Any]:
    """Return config.json of a RUN.

    Raises:
        UserError: `run` is no RUN folder, or its config.json is not what `train` wrote.
    """
    path = run / FILE_NAME
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{run}: no {FILE_NAME} in it; give the --out folder of a train command") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid JSON ({error}); train again") from None
    missing = [name for name in _NEEDED if not isinstance(config, dict) or name not in config]
    if missing:
        raise UserError(f"{path}: has no {', '.join(missing)}; it was not written by train")
    wrong = _wrong_value(config)
    if wrong:
        raise UserError(f"{path}: {wrong} cannot be what train wrote; train again")
    return dict(config)


def _wrong_value(config: dict[str, Any]) -> str:
    """Return the name of the first entry that readers rely on and that is of another kind, empty when none is."""
    classes, size = config["classes"], config["image_size"]
    if not isinstance(classes, list) or len(set(map(str, classes))) < max(2, len(classes)):
        return "classes"
    if not isinstance(size, int) or not 1 <= size <= _LARGEST_SIZE:
        return "image_size"
    if config["channels"] not in (1, 3):
        return "channels"
    names = (("protocol", "name"), ("protocol", "preprocessing"), ("dataset", "fingerprint"))
    return next((part for part, name in names if not isinstance(config[part], dict) or name not in config[part]), "")


def is_taken(folder: Path) -> bool:
    """Whether there is anything in `folder` but what a run leaves that is killed in its first moments."""
    if not folder.exists():
        return False
    return any(path.name != LOG_NAME and not is_leftover(path) for path in folder.iterdir())


@contextmanager
def alone(run: Path) -> Iterator[None]:
    """Make the folder `run` and hold its lock, which is free again when this process is gone, however it ends.

    Raises:
        UserError: another process holds it.
    """
    run.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(run, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise UserError(f"{run}: another training writes it; wait for it or choose another --out") from None
    finally:
        os.close(descriptor)
