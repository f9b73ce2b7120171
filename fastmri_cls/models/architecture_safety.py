"""Checks of the architecture in somebody else's Keras file: the JSON that Keras would build a model from.

Keras imports what the JSON names, so it is read first: a layer that carries code, or is not one of Keras' own, is
refused before Keras sees the file.
"""

from collections.abc import Iterator
from typing import Any

import keras

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


def architecture_fault(config: Any) -> str | None:
    """Return why Keras must not build what a JSON value describes, None if it may.

    Args:
        config: the content of a model's config.json, or of `model_config` in a .h5 file.
    """
    return next(filter(None, map(_fault, _parts(config))), None)


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
