"""train.yaml: the options of a training in a file that `train --config` reads and that every RUN holds.

The keys are the options of `train` without dashes in front; `set` maps fields of the protocol to values:

    data: data/mri
    model: small-cnn
    protocol: strict
    set:
      phase1.max_epochs: 5
"""

import json
import shlex
from dataclasses import asdict, fields
from difflib import get_close_matches
from pathlib import Path

import msgspec

from fastmri_cls.foundation.atomic import write_text
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.templates import base_name
from fastmri_cls.runs import files
from fastmri_cls.runs.options import TrainOptions
from fastmri_cls.runs.protocol import differences

_HEADER = "# Repeat this training: fastmri-cls train --config train.yaml --out NEW_RUN\n"


def write_train_file(run: Path, options: TrainOptions) -> None:
    """Write train.yaml into a RUN: its options as resolved, without `out` and what only this training needed."""
    values = {name: value for name, value in asdict(options).items() if value is not None}
    for name in ("out", "resume", "max_hours", "track", "protocol"):
        values.pop(name, None)
    values |= {"data": str(options.data), "protocol": options.protocol.name, "set": differences(options.protocol)}
    write_text(run / files.TRAIN_FILE, _HEADER + msgspec.yaml.encode(values).decode())


def train_command(options: TrainOptions) -> str:
    """Return the command that repeats a training anywhere: dataset and weights by name, without their folders."""
    words = ["fastmri-cls", "train", "--data", base_name(str(options.data)), "--model", options.model]
    words += ["--protocol", options.protocol.name]
    for name, value in differences(options.protocol).items():
        words += ["--set", f"{name}={value if isinstance(value, str) else json.dumps(value)}"]
    defaults = {field.name: field.default for field in fields(TrainOptions)}
    for name in ("weights", "feature_views", "precision", "xla", "fold"):
        value = getattr(options, name)
        if value != defaults[name]:
            words += [f"--{name.replace('_', '-')}", base_name(str(value))]
    words += ["--seed", str(options.seed), *(["--deterministic"] if options.deterministic else []), "--out", "NEW_RUN"]
    return shlex.join(words)


def read_train_file(path: Path, known: list[str]) -> dict[str, object]:
    """Read options of `train` from a YAML file.

    Args:
        path: the file.
        known: names of the options it may hold.

    Returns:
        Values by option; `set` is a mapping.

    Raises:
        UserError: the file cannot be read, is not a mapping, or holds an unknown option.
    """
    try:
        values = msgspec.yaml.decode(path.read_bytes(), type=dict[str, object])
    except (OSError, msgspec.DecodeError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise UserError(f"{path}: cannot be read as YAML ({reason}); give a train.yaml of a RUN") from None
    for name in values:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            cure = f"did you mean {near[0]}?" if near else f"choose from {', '.join(known)}"
            raise UserError(f"{path}: {name} is not an option of train; {cure}")
    values["set"] = values.get("set") or {}
    if not isinstance(values["set"], dict):
        raise UserError(f"{path}: set is no mapping of fields to values; write it as set: {{schedule: cosine}}")
    if isinstance(values.get("xla"), bool):  # YAML takes on and off for true and false
        values["xla"] = "on" if values["xla"] else "off"
    return values
