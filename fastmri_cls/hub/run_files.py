"""A RUN as it lies on the hub, and back: Keras' own layout, so that `keras.saving.load_model("hf://user/name")` works.

    config.json  metadata.json  model.weights.h5     the members of model.keras
    fastmri_cls.json                                 config.json of the RUN, without folders
    history.csv  metrics.json  calibration.json  ood_reference.npz  README.md
    checksums.json                                   the sha256 of all others but README.md, which people edit

All other files of a RUN stay: they name image files, show images, or are of use on one machine alone.
"""

import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from fastmri_cls.foundation import json_files
from fastmri_cls.foundation.checksums import file_sha256
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.templates import base_name
from fastmri_cls.models.weights_safety import vet_weights_file
from fastmri_cls.runs import checksums, files
from fastmri_cls.runs.calibration import write_calibration
from fastmri_cls.runs.config import RunConfig, write_config
from fastmri_cls.runs.metrics import write_metrics
from fastmri_cls.runs.run import Run

ARCHITECTURE = "config.json"
WEIGHTS = "model.weights.h5"
MODEL_MEMBERS = ("metadata.json", ARCHITECTURE, WEIGHTS)  # in the order in which Keras writes them
RUN_CONFIG = "fastmri_cls.json"
CHECKSUMS = "checksums.json"
_CHECKED = (*MODEL_MEMBERS, RUN_CONFIG, files.HISTORY, files.METRICS)
_OPTIONAL = (files.CALIBRATION, files.OOD_REFERENCE)  # there is none without a validation split
REQUIRED = (*_CHECKED, CHECKSUMS, files.CARD)
PUBLISHED = (*REQUIRED, *_OPTIONAL)

_PUSH_AGAIN = "ask its owner to push it again"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first time a ZIP can hold: equal members make equal bytes


def publish_run(run: Run, folder: Path) -> None:
    """Write the files of a finished RUN into an empty folder, as they go to the hub; all but the card.

    Raises:
        UserError: the RUN is unfinished or damaged, or its model needs files of its own.
    """
    if run.results != run.path or not run.is_finished:
        raise UserError(f"{run.results}: is no finished RUN; give one that train or evaluate has finished")
    vet_weights_file(run.model_file)
    with zipfile.ZipFile(run.model_file) as archive:
        if set(archive.namelist()) != set(MODEL_MEMBERS):
            raise UserError(f"{run.model_file}: holds other files than {', '.join(MODEL_MEMBERS)}; train again")
        archive.extractall(folder)
    with TemporaryDirectory() as scratch:
        model = Path(scratch) / files.MODEL
        _zip_model(folder, model)
        digest = file_sha256(model)
    json_files.write(folder / RUN_CONFIG, without_folders(run.config))
    _read_all(run)
    shutil.copyfile(run.path / files.HISTORY, folder / files.HISTORY)
    write_metrics(folder / files.METRICS, replace(run.metrics, model_sha256=digest))
    if run.calibration:
        write_calibration(folder / files.CALIBRATION, run.calibration)
    reference = run.ood_reference
    if reference.exists() and reference.name == files.OOD_REFERENCE:  # not that of version 0.1
        shutil.copyfile(reference, folder / files.OOD_REFERENCE)
    names = [name for name in (*_CHECKED, *_OPTIONAL) if (folder / name).exists()]
    json_files.write(folder / CHECKSUMS, {name: file_sha256(folder / name) for name in names})


def check_published(folder: Path, where: str) -> None:
    """Compare the files of a published RUN with its checksums.

    Args:
        folder: with the files.
        where: the repository, for the error.

    Raises:
        UserError: one has changed, or has no checksum.
    """
    known = json_files.read(folder / CHECKSUMS, dict[str, str], f"{where} is damaged; {_PUSH_AGAIN}")
    for name in (*_CHECKED, *_OPTIONAL):
        path = folder / name
        if path.exists() and known.get(name) != file_sha256(path):
            raise UserError(
                f"{where}: {name} has another sha256 than its {CHECKSUMS} says; do not use it, {_PUSH_AGAIN}"
            )


def restore_run(published: Path, out: Path) -> None:
    """Make a RUN of its published files.

    Args:
        published: a folder that `check_published` has passed.
        out: the RUN, an empty folder.

    Raises:
        UserError: a file is not what `publish_run` wrote.
    """
    config = json_files.read(published / RUN_CONFIG, RunConfig, f"it is not what push wrote; {_PUSH_AGAIN}")
    write_config(out, without_folders(config))
    _zip_model(published, out / files.MODEL)
    for name in (files.HISTORY, files.METRICS, files.CARD, *_OPTIONAL):
        if (published / name).exists():
            shutil.copyfile(published / name, out / name)
    checksums.record(out, [*files.TRAINED, files.METRICS, *_OPTIONAL])
    _read_all(Run(out))


def without_folders(config: RunConfig) -> RunConfig:
    """Return the config of a RUN with every path cut to its last part."""
    loaded = config.loaded_weights
    return replace(
        config,
        data=Path(base_name(str(config.data))),
        out=Path(base_name(str(config.out))),
        weights=_each(config.weights, "+"),
        loaded_weights=loaded and replace(loaded, spec=_each(loaded.spec, "+"), path=_each(loaded.path, " + ")),
    )


def _read_all(run: Run) -> None:
    """Read every file that has a type, which checks it."""
    for name in ("history", "metrics", "calibration"):
        getattr(run, name)


def _each(paths: str, separator: str) -> str:
    return separator.join(map(base_name, paths.split(separator)))


def _zip_model(folder: Path, path: Path) -> None:
    """Write model.keras from its members, uncompressed, as Keras does; the same bytes from the same members."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in MODEL_MEMBERS:
            member = zipfile.ZipInfo(name, _EPOCH)
            with archive.open(member, "w", force_zip64=True) as target, (folder / name).open("rb") as file:
                shutil.copyfileobj(file, target)
