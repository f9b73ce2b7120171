"""JSON files as typed values: decoded into frozen dataclasses by msgspec, written atomically with two-space indents."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from fastmri_cls.foundation.atomic import write_text
from fastmri_cls.foundation.errors import UserError

T = TypeVar("T")


def read(path: Path, kind: type[T], cure: str) -> T:
    """Return the content of a JSON file as a value of type `kind`.

    Unknown keys are ignored, so that files of a later version with added keys still open.

    Args:
        path: the file.
        kind: a dataclass, or any type that msgspec decodes, such as `dict[str, str]`.
        cure: what the user can do about a damaged file; the end of the error.

    Raises:
        UserError: the file is not JSON or not of this type; the message has the place of the fault in the JSON.
        OSError: there is no such file, or it cannot be read.
    """
    return decode(path.read_bytes(), kind, path, cure)


def decode(content: bytes, kind: type[T], path: Path, cure: str) -> T:
    """Return `content`, the bytes of the JSON file `path`, as a value of type `kind`; see `read`."""
    try:
        return msgspec.json.decode(content, type=kind, dec_hook=_from_builtin)
    except msgspec.DecodeError as error:
        reason = str(error).replace("`", "").replace(" - at ", " at ")
    except UnicodeDecodeError as error:
        reason = f"not UTF-8: {error.reason} at byte {error.start}"
    except RecursionError:
        reason = "JSON is nested too deeply"
    raise UserError(f"{path}: {reason}; {cure}")


def write(path: Path, value: object) -> None:
    """Write `value` (dataclasses, dicts, lists, strings, finite numbers, paths) to a JSON file, atomically.

    Raises:
        ValueError: a number is NaN or infinite, which JSON does not have.
    """
    write_text(path, dumps(value) + "\n")


def dumps(value: object, indent: int | None = 2) -> str:
    """Return `value` as JSON text; see `write`."""
    return json.dumps(to_plain(value), indent=indent, ensure_ascii=False, allow_nan=False)


def to_plain(value: object) -> Any:
    """Return `value` as dicts, lists, strings and numbers; see `write`."""
    return msgspec.to_builtins(value, enc_hook=_to_builtin)


def _to_builtin(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):  # NumPy's numbers and arrays
        return value.tolist()
    raise NotImplementedError(f"no JSON for {type(value).__name__}")


def _from_builtin(kind: type[T], value: object) -> T | Path:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise NotImplementedError(f"no {kind.__name__} in JSON")


def flatten(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield (dotted path, value) of every value in nested mappings."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
