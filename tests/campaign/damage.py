"""A flipped bit in each file that is read back: named in one clear line, or without any influence on the result."""

import contextlib
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.campaign.bad_datasets import flip
from tests.campaign.faults import Fault
from tests.campaign.materials import TRAIN, Materials, copy
from tests.campaign.runner import Conditions, Running, Zygote, snapshot
from tests.campaign.victims import compare_results, evaluation, history, weights

_OFTEN = Conditions(often=True)


@dataclass(frozen=True)
class Reader:
    """A command that reads files back: how they come to be, which they are, the command, and what it gives."""

    prepare: Callable[[Path, Materials, Zygote], object]
    files: str  # a pattern of paths in the folder, one of which is damaged
    command: Callable[[Path, Materials], tuple[object, ...]]
    result: Callable[[Path], object]


class Sound:
    """What each reader gives without damage, found out by the first fault that asks."""

    def __init__(self) -> None:
        self._found: dict[str, object] = {}

    def of(self, name: str, folder: Path, given: Materials, zygote: Zygote) -> object:
        """Return it."""
        if name not in self._found:
            reader = READERS[name]
            folder.mkdir()
            zygote.use_cache(folder / "cache")
            reader.prepare(folder, given, zygote)
            ended = zygote.run(*reader.command(folder, given), conditions=_OFTEN)
            assert ended.code == 0, f"without damage it fails: {ended.stderr[-300:]}"
            self._found[name] = reader.result(folder)
        return self._found[name]


def flipped(name: str, seed: str, sound: Sound) -> Fault:
    """Flip one random bit of one of the reader's files and run it."""
    reader = READERS[name]

    def fault(folder: Path, given: Materials, zygote: Zygote) -> str:
        rng, place = random.Random(seed), folder / "damaged"
        place.mkdir(parents=True)
        zygote.use_cache(place / "cache")
        reader.prepare(place, given, zygote)
        path = rng.choice(sorted(place.glob(reader.files)))
        at = rng.randrange(path.stat().st_size)
        flip(path, at)
        ended = zygote.run(*reader.command(place, given), conditions=_OFTEN)
        where = f"byte {at} of {path.name}"
        said = " ".join(ended.error_lines) + ended.stdout
        if ended.crashed or (ended.code != 0 and not said):
            return f"{where}: {ended.crashed or ended.code} {ended.stderr.strip()[-200:]}"
        if ended.code != 0:
            return "" if path.name in said or path.parent.name in said else f"{where} is not named: {said[:200]}"
        wrong = compare_results(reader.result(place), sound.of(name, folder / "sound", given, zygote))
        return f"{where}, unnoticed: {wrong}" if wrong else ""

    return fault


def _copy_run(place: Path, given: Materials, zygote: Zygote) -> None:
    copy(given.run, place / "run")


def _copy_data(place: Path, given: Materials, zygote: Zygote) -> None:
    copy(given.dataset, place / "data")


def _interrupt(place: Path, given: Materials, zygote: Zygote) -> None:
    """Leave a RUN killed in phase 2, with two checkpoints."""
    path = place / "run" / "history.csv"
    _kill_when(zygote.start(*_resume(place, given), conditions=_OFTEN), lambda: path.read_text().count("\n") > 1)


def _with_views(place: Path, given: Materials, zygote: Zygote) -> None:
    """Leave a RUN killed once its feature views are there."""
    views = "cache/features/small*/facts.json"
    _kill_when(zygote.start(*_views(place, given), conditions=_OFTEN), lambda: len(list(place.glob(views))) > 2)


def _kill_when(running: Running, is_time: Callable[[], bool]) -> None:
    while running.is_alive:
        with contextlib.suppress(FileNotFoundError):
            if is_time():
                break
        time.sleep(0.01)
    running.send(signal.SIGKILL)
    running.wait()


def _resume(place: Path, given: Materials) -> tuple[object, ...]:
    return ("train", "--data", given.dataset, "--out", place / "run", *TRAIN, "--deterministic", "--resume")


def _views(place: Path, given: Materials) -> tuple[object, ...]:
    return (*_resume(place, given), "--weights", given.second, "--feature-views", 2)


def _trained(place: Path) -> object:
    return weights(place / "run"), history(place / "run"), evaluation(place / "run")


def _evaluate(place: Path, given: Materials) -> tuple[object, ...]:
    return ("evaluate", place / "run", "--data", given.dataset, "--out", place / "out")


def _evaluate_data(place: Path, given: Materials) -> tuple[object, ...]:
    return ("evaluate", given.run, "--data", place / "data", "--out", place / "out")


def _evaluated(place: Path) -> object:
    return evaluation(place / "out")


def _predict(place: Path, given: Materials) -> tuple[object, ...]:
    return ("predict", place / "run", given.source / "Testing", "--out", place / "out.csv", "--calibrated")


def _predicted(place: Path) -> object:
    lines = (place / "out.csv").read_text().splitlines()
    return [line.split(",", 1)[1] for line in lines]


def _compare(place: Path, given: Materials) -> tuple[object, ...]:
    return ("compare", place / "run", given.second, "--out", place / "out")


def _compared(place: Path) -> object:
    out = place / "out"
    return {name: (out / name).read_bytes() for name in snapshot(out) if name.endswith((".csv", ".md", ".tex"))}


READERS = {
    "train-shard": Reader(_copy_data, "data/train-*", lambda place, given: _resume(place, _on(place, given)), _trained),
    "test-shard": Reader(_copy_data, "data/test*", _evaluate_data, _evaluated),
    "dataset.json": Reader(_copy_data, "data/dataset.json", _evaluate_data, _evaluated),
    "images.csv": Reader(_copy_data, "data/images.csv", lambda place, _: ("verify", place / "data"), lambda place: ""),
    "config.json": Reader(_copy_run, "run/config.json", _evaluate, _evaluated),
    "model.keras": Reader(_copy_run, "run/model.keras", _evaluate, _evaluated),
    "history.csv": Reader(_copy_run, "run/history.csv", _compare, _compared),
    "predictions.csv": Reader(_copy_run, "run/predictions.csv", _compare, _compared),
    "metrics.json": Reader(_copy_run, "run/metrics.json", _compare, _compared),
    "calibration.json": Reader(_copy_run, "run/calibration.json", _predict, _predicted),
    "ood_reference.npz": Reader(_copy_run, "run/ood_reference.npz", _predict, _predicted),
    "checksums.json": Reader(_copy_run, "run/checksums.json", _predict, _predicted),
    "checkpoints": Reader(_interrupt, "run/checkpoints/*.npz", _resume, _trained),
    "feature-views": Reader(_with_views, "cache/features/*/*", _views, _trained),
}


def _on(place: Path, given: Materials) -> Materials:
    """The materials with the dataset in `place`."""
    from dataclasses import replace

    return replace(given, dataset=place / "data")
