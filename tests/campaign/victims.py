"""The commands that write, as victims: what each needs, and what must come of it in the end."""

import csv
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from tests.campaign.materials import PLAIN, TRAIN, Materials, build_arguments, copy
from tests.campaign.runner import NORMAL, Conditions, Zygote, snapshot

_OFTEN = Conditions(often=True)
_TIMES = ("seconds", "images_per_second")


@dataclass(frozen=True)
class Victim:
    """A command that is killed.

    Fields:
        prepare: makes what it needs in a folder. command: its arguments there. result: what must be as if it had been
            left alone, in a form that `==` compares. often: has checkpoints to be killed in.
    """

    prepare: Callable[[Path, Materials], object]
    command: Callable[[Path, Materials], tuple[object, ...]]
    result: Callable[[Path], object]
    conditions: Conditions = NORMAL


def _nothing(folder: Path, given: Materials) -> None:
    """Nothing has to be there."""


def _copy_run(folder: Path, given: Materials) -> Path:
    return copy(given.run, folder / "run")


def _train(folder: Path, given: Materials, *flags: object) -> tuple[object, ...]:
    more = ("--data", given.dataset, "--out", folder / "run", "--deterministic", "--resume")
    return ("train", *TRAIN, *more, *flags)


def _feature_views(folder: Path, given: Materials) -> tuple[object, ...]:
    return _train(folder, given, "--weights", given.second, "--feature-views", 2)


def weights(run: Path) -> dict[str, bytes]:
    """Return the arrays of model.keras by name, as bytes."""
    found: dict[str, bytes] = {}

    def note(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = np.asarray(item).tobytes()

    with zipfile.ZipFile(run / "model.keras") as archive, archive.open("model.weights.h5") as file:
        h5py.File(file).visititems(note)
    return found


def history(run: Path) -> list[dict[str, str]]:
    """Return history.csv without its times."""
    with (run / "history.csv").open(newline="") as file:
        return [{name: value for name, value in row.items() if name not in _TIMES} for row in csv.DictReader(file)]


def evaluation(run: Path) -> object:
    """Return predictions.csv, and metrics.json without its times and without the hash of the model's file.

    Keras writes the date into that file. `weights` has what is the same in every run.
    """
    metrics = json.loads((run / "metrics.json").read_text())
    differing = ("timing", "model_sha256")
    return (run / "predictions.csv").read_bytes(), {k: v for k, v in metrics.items() if k not in differing}


def _trained(folder: Path) -> object:
    run = folder / "run"
    return weights(run), history(run), evaluation(run), _leftovers(run)


def _evaluated(folder: Path) -> object:
    return evaluation(folder / "run"), weights(folder / "run"), _leftovers(folder / "run")


def _files(*patterns: str) -> Callable[[Path], object]:
    """The bytes of what matches, and the names of everything in the folder."""

    def read(folder: Path) -> object:
        out = folder / "out"
        chosen = {str(p.relative_to(out)): p.read_bytes() for name in patterns for p in sorted(out.glob(name))}
        return chosen, sorted(snapshot(folder))

    return read


def _leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if "incomplete" in path.name or "replaced" in path.name]


def _table(folder: Path) -> object:
    return (
        (folder / "out.csv").read_bytes(),
        sorted(snapshot(folder / "heat")),
        sorted(p.name for p in folder.iterdir()),
    )


def _predict(folder: Path, given: Materials) -> tuple[object, ...]:
    return ("predict", given.run, given.source, "--out", folder / "out.csv", "--gradcam", folder / "heat")


def _study(folder: Path, given: Materials) -> tuple[object, ...]:
    epochs = ("--phase1-epochs", 1, "--phase2-epochs", 0, *PLAIN, "--deterministic")
    return (
        "study",
        "--data",
        given.dataset,
        "--models",
        "small-cnn",
        "--seeds",
        "0,1",
        "--out",
        folder / "out",
        *epochs,
    )


def _studied(folder: Path) -> object:
    runs = sorted((folder / "out" / "runs").iterdir())
    report = (folder / "out" / "report.html").exists(), _leftovers(folder)
    return [weights(run) for run in runs], [history(run) for run in runs], [evaluation(run) for run in runs], report


_build_result = _files("*.tfrecord", "images.csv")

VICTIMS = {
    "build": Victim(
        _nothing, lambda folder, given: (*build_arguments(given.source, folder / "out"), "--force"), _build_result
    ),
    "build-workers": Victim(
        _nothing,
        lambda folder, given: (*build_arguments(given.source, folder / "out"), "--force", "--workers", 2),
        _build_result,
    ),
    "audit": Victim(
        _nothing,
        lambda folder, given: ("audit", given.source, "--out", folder / "out", "--workers", 1, "--force"),
        _files("audit.csv", "audit.json"),
    ),
    "train": Victim(_nothing, _train, _trained, _OFTEN),
    "feature-views": Victim(_nothing, _feature_views, _trained, _OFTEN),
    "evaluate": Victim(
        _copy_run, lambda folder, given: ("evaluate", folder / "run", "--data", given.dataset), _evaluated
    ),
    "predict": Victim(_nothing, _predict, _table),
    "compare": Victim(
        _nothing,
        lambda folder, given: ("compare", given.run, given.second, "--out", folder / "out"),
        _files("comparison.json", "tables/*"),
    ),
    "export": Victim(
        _nothing,
        lambda folder, given: ("export", given.run, "--format", "saved_model", "--out", folder / "out"),
        _files("labels.txt"),
    ),
    "study": Victim(_nothing, _study, _studied),
}


@dataclass(frozen=True)
class LeftAlone:
    """What a victim's command gives when nobody disturbs it, how long that takes, and the bytes it adds to a disk."""

    seconds: float
    result: object
    added_bytes: int


def leave_alone(victim: Victim, folder: Path, given: Materials, zygote: Zygote) -> LeftAlone:
    """Run the command to its end."""
    folder.mkdir(parents=True)
    victim.prepare(folder, given)
    before = disk_bytes(folder)
    ended = zygote.run(*victim.command(folder, given), conditions=victim.conditions)
    assert ended.code == 0, f"left alone, it fails: {ended.stderr[-300:]}"
    return LeftAlone(ended.seconds, victim.result(folder), disk_bytes(folder) - before)


def run_again(victim: Victim, alone: LeftAlone, folder: Path, given: Materials, zygote: Zygote) -> str:
    """Run the command once more in `folder`; return how its end differs from that of the one left alone."""
    again = zygote.run(*victim.command(folder, given), conditions=victim.conditions)
    # What replaces nothing without being asked may find its own whole result; whether it is whole is compared.
    is_there = len(again.error_lines) == 1 and "exists already" in again.stderr
    if again.crashed or (again.code != 0 and not is_there):
        return again.crashed or f"the same command again: exit code {again.code}: {again.stderr.strip()[-300:]}"
    return compare_results(victim.result(folder), alone.result)


def compare_results(one: object, other: object) -> str:
    """Return where two results differ, empty where they do not."""
    if one == other:
        return ""
    parts = zip(one, other, strict=True) if isinstance(one, tuple) and isinstance(other, tuple) else [(one, other)]
    different = "; ".join(f"{_from_there(str(a), str(b))} / {_from_there(str(b), str(a))}" for a, b in parts if a != b)
    return f"the result is not that of a run left alone: {different}"


def _from_there(text: str, other: str) -> str:
    """Return a part of `text` around the first place where it is not `other`."""
    place = next((n for n, (a, b) in enumerate(zip(text, other, strict=False)) if a != b), min(len(text), len(other)))
    return text[max(0, place - 60) : place + 60]


def disk_bytes(folder: Path) -> int:
    """Return what the files below `folder` take in pages of 4 kB, as a tmpfs counts."""
    return sum(-(-path.stat().st_size // 4096) * 4096 for path in folder.rglob("*") if path.is_file())
