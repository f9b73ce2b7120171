"""Files that are no fit weights for `train --weights`, hostile ones among them."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from tests.campaign.bad_datasets import train
from tests.campaign.kinds import BadInput, kind
from tests.campaign.materials import Materials, copy


def _weights(name: str, file: str, make_file: Callable[[Path, Materials], object], says: str = "") -> None:
    """Register the kind `name`: a training from a weights file."""

    def make(folder: Path, given: Materials) -> BadInput:
        path = folder / file
        make_file(path, given)
        return BadInput(train(given.dataset, folder, "--weights", path), says=says or file)

    make.__name__ = name
    kind(make)


def _write(content: bytes) -> Callable[[Path, Materials], object]:
    return lambda path, _: path.write_bytes(content)


def _weights_file(path: Path, given: Materials) -> None:
    """The weights of the trained RUN's backbone, as Keras saves them."""
    with zipfile.ZipFile(given.run / "model.keras") as archive:
        path.write_bytes(archive.read("model.weights.h5"))


def _cut(path: Path, given: Materials) -> None:
    _weights_file(path, given)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _foreign(path: Path, given: Materials) -> None:
    """A legacy file of a network that has nothing in common with ours."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"conv1/conv"]
        group = file.create_group("conv1/conv")
        group.attrs["weight_names"] = [b"kernel"]
        group["kernel"] = np.zeros((7, 7, 3, 64), np.float32)


def _external(path: Path, given: Materials) -> None:
    """Every tensor lies in another file of the machine."""
    _weights_file(path, given)
    with h5py.File(path, "r+") as file:
        names: list[str] = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        for name in names:
            shape = file[name].shape
            del file[name]
            file.create_dataset(name, shape, np.float32, external=[("/etc/hostname", 0, h5py.h5f.UNLIMITED)])


def _external_link(path: Path, given: Materials) -> None:
    other = path.with_name("other.h5")
    _weights_file(other, given)
    with h5py.File(path, "w") as file:
        file["layers"] = h5py.ExternalLink(str(other), "/layers")


def _absurd(path: Path, given: Materials) -> None:
    """Shapes of a petabyte, of which nothing is stored."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"conv"]
        group = file.create_group("conv")
        group.attrs["weight_names"] = [b"kernel"]
        group.create_dataset("kernel", (2**25, 2**25), np.float32, chunks=(64, 64))


def _absurd_keras_shapes(path: Path, given: Materials) -> None:
    _weights_file(path, given)
    with h5py.File(path, "r+") as file:
        names: list[str] = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        del file[names[0]]
        file.create_dataset(names[0], (2**25, 2**25), np.float32, chunks=(64, 64))


def keras_archive(config: dict[str, object], names: tuple[str, ...] = ()) -> Callable[[Path, Materials], object]:
    """A .keras file with this config and the trained RUN's weights, and members of these names."""

    def make(path: Path, given: Materials) -> None:
        with zipfile.ZipFile(given.run / "model.keras") as old, zipfile.ZipFile(path, "w") as new:
            new.writestr("metadata.json", old.read("metadata.json"))
            new.writestr("config.json", json.dumps(config) if config else old.read("config.json"))
            for name in names:
                new.writestr(name, b"planted")
            new.writestr("model.weights.h5", old.read("model.weights.h5"))

    return make


LAMBDA = {
    "module": "keras.layers",
    "class_name": "Lambda",
    "config": {"function": {"class_name": "__lambda__", "config": {"code": "4wEAAAA="}}},
    "registered_name": None,
}
CUSTOM_CODE = {"module": "os", "class_name": "system", "config": "touch planted", "registered_name": "os>system"}


def _pickles(path: Path, given: Materials) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, weights=np.array([print], dtype=object))
    path.write_bytes(buffer.getvalue())


_weights("weights_empty", "w.weights.h5", _write(b""))
_weights("weights_of_text", "w.h5", _write(b"404 not found\n"))
_weights("weights_of_another_format", "w.pt", _write(b"PK\x03\x04" + bytes(100)))
_weights("weights_of_pickles", "w.npz", _pickles)
_weights("weights_of_pickles_named_keras", "w.keras", _pickles)
_weights("weights_cut", "w.weights.h5", _cut)
_weights("weights_header_alone", "w.h5", _write(b"\x89HDF\r\n\x1a\n"))
_weights("weights_of_another_network", "w.h5", _foreign)
_weights("weights_of_a_whole_classifier", "w.weights.h5", _weights_file)
_weights("weights_outside_their_file", "w.weights.h5", _external)
_weights("weights_linked_to_another_file", "w.weights.h5", _external_link)
_weights("weights_of_absurd_shapes", "w.h5", _absurd)
_weights("weights_of_absurd_shapes_in_kerass_layout", "w.weights.h5", _absurd_keras_shapes)
_weights("weights_keras_empty_archive", "w.keras", _write(b"PK\x05\x06" + bytes(18)))
_weights("weights_keras_with_a_lambda", "w.keras", keras_archive(LAMBDA))
_weights("weights_keras_with_path_traversal", "w.keras", keras_archive({}, ("../../planted", "/tmp/planted")))


@kind
def weights_not_there(folder: Path, given: Materials) -> BadInput:
    return BadInput(train(given.dataset, folder, "--weights", folder / "absent.h5"), says="--weights")


@kind
def weights_of_an_unknown_set(folder: Path, given: Materials) -> BadInput:
    return BadInput(train(given.dataset, folder, "--weights", "imagenet21k"), says="--weights imagenet21k")


@kind
def weights_of_a_folder_that_is_no_run(folder: Path, given: Materials) -> BadInput:
    (folder / "empty").mkdir()
    return BadInput(train(given.dataset, folder, "--weights", folder / "empty"), says="config.json")


@kind
def weights_of_an_unfinished_run(folder: Path, given: Materials) -> BadInput:
    earlier = copy(given.run, folder / "earlier")
    (earlier / "model.keras").unlink()
    return BadInput(train(given.dataset, folder, "--weights", earlier), says="model.keras")


@kind
def weights_of_a_run_of_another_model(folder: Path, given: Materials) -> BadInput:
    command = ("train", "--data", given.dataset, "--out", folder / "run", "--model", "convnext-tiny")
    return BadInput((*command, "--weights", given.run), says="choose --model small-cnn")


@kind
def weights_of_a_damaged_run(folder: Path, given: Materials) -> BadInput:
    from tests.campaign.bad_datasets import flip

    earlier = copy(given.run, folder / "earlier")
    flip(earlier / "model.keras", 0.5)
    return BadInput(train(given.dataset, folder, "--weights", earlier), says="model.keras")


@kind
def weights_by_hand_that_are_not_there(folder: Path, given: Materials) -> BadInput:
    command = ("train", "--data", given.dataset, "--out", folder / "run", "--model", "densenet121-radimagenet")
    return BadInput(command, says="--weights PATH")
