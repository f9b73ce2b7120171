"""A .keras or .h5 file that somebody else made, opened without running any code of its author.

models/architecture_safety.py has the reasons for which a model is refused before Keras sees the file.
"""

import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.models.architecture_safety import architecture_fault
from fastmri_cls.models.weights_safety import vet_weights_file
from fastmri_cls.runs.run import UNLOADABLE

_CURE = "ask its author for an ONNX file or a predictions.csv"


def open_keras(path: Path) -> keras.Model:
    """Load a .keras or .h5 file in Keras' safe mode, not compiled, after reading what it would build.

    Raises:
        UserError: it is another kind of file, refers to other files, needs code of its author, or is damaged.
    """
    vet_weights_file(path)
    fault = architecture_fault(_architecture(path))
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
