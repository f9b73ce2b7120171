"""A .keras or .h5 file that somebody else made, opened without running any code of its author.

The architecture in such a file is JSON. Keras would build it by importing what the JSON names, so it is read first, and
a model with a layer that carries code, or is not one of Keras' own, is refused before Keras sees the file.
"""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import keras

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.models.weights_safety import vet_weights_file
from fastmri_cls.runs.run import UNLOADABLE

# Classes of Keras that run what the file brings, or open files that it names.
_CARRIES_CODE = {
    "Lambda": "runs Python code out of the file",
    "__lambda__": "runs Python code out of the file",
    "TorchModuleWrapper": "runs a pickle out of the file",
    "TFSMLayer": "runs another model from a path of its author",
    "JaxLayer": "runs code of its author",
    "FlaxLayer": "runs code of its author",
    "StringLookup": "opens a file that the model names",
    "IntegerLookup": "opens a file that the model names",
    "TextVectorization": "opens a file that the model names",
}
# Where activations are, by their public and their private name; other functions of Keras download, read or write files.
_FUNCTIONS = ("keras.activations", keras.activations.relu.__module__.rpartition(".")[0])
_CURE = "ask its author for an ONNX file or a predictions.csv"


def open_keras(path: Path) -> keras.Model:
    """Load a .keras or .h5 file in Keras' safe mode, not compiled, after reading what it would build.

    Raises:
        UserError: it is another kind of file, refers to other files, needs code of its author, or is damaged.
    """
    vet_weights_file(path)
    for part in _parts(_architecture(path)):
        fault = _fault(part)
        if fault:
            raise UserError(f"{path}: {fault}; nothing of it was run; {_CURE}")
    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except UNLOADABLE as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: Keras {keras.__version__} cannot load it ({reason}); {_CURE}") from None


def _architecture(path: Path) -> Any:
    """Return the JSON that Keras would build the model from, without the training's part, which is not loaded."""
    try:
        if path.suffix == ".keras":
            with zipfile.ZipFile(path) as archive:
                text = archive.read("config.json")
        else:
            with h5py.File(path, "r") as file:
                text = file.attrs.get("model_config")
        if text is None:
            raise UserError(f"{path}: holds weights without an architecture; give a file of the whole model")
        config = json.loads(text)
    except (KeyError, OSError, ValueError, TypeError, RecursionError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: its architecture cannot be read ({type(error).__name__}); get it again") from None
    if isinstance(config, dict):
        config.pop("compile_config", None)
    return config


def _parts(config: Any) -> Iterator[dict[str, Any]]:
    """Yield every mapping in a JSON value, at any depth."""
    waiting = [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def _fault(part: dict[str, Any]) -> str | None:
    """Return why Keras must not build an object, None if it may."""
    name, module, registered = (part.get(key) for key in ("class_name", "module", "registered_name"))
    if name is None:
        return None
    inner = part.get("config")
    shown = f"{name} {inner['name']!r}" if isinstance(inner, dict) and "name" in inner else str(name)
    if name in _CARRIES_CODE:
        return f"its layer {shown} {_CARRIES_CODE[name]}"
    if name == "function" and not str(module).startswith(_FUNCTIONS):
        return f"it calls the function {registered or inner} of {module}, which is no activation"
    is_own = module is None or module == "keras" or str(module).startswith("keras.")
    if not is_own or (isinstance(registered, str) and ">" in registered):
        return f"its layer {shown} is not Keras' own but its author's ({module or registered})"
    return None
