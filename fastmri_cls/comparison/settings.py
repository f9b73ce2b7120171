"""The settings of runs: every option of config.json, which of them differ between systems, and names that say so.

No option is listed here to be compared. All of config.json counts, except what varies between repeats of one system
(seed, fold, output folder) and the circumstances of a run (machine, versions, cache), which are shown but do not make
another system.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import PurePath
from string import ascii_uppercase
from typing import Any

from fastmri_cls.foundation.json_files import flatten
from fastmri_cls.foundation.tables import Cell, Table
from fastmri_cls.report.options import shown, words
from fastmri_cls.runs.protocol import PROTOCOLS

_OF_A_REPEAT = {"seed", "fold", "out", "resume", "max_hours", "track"}
_CIRCUMSTANCES = {
    "cache", "xla", "deterministic", "strategy", "device", "devices", "workers", "replicas", "environment",
}  # fmt: skip
# Facts that follow from other settings, are checked elsewhere, or are compared by a checksum.
_DERIVED = {
    "data", "weights", "loaded_weights", "classes", "dataset.fingerprint", "dataset.splits", "dataset.per_class",
    "sha256", "notes", "output_classes", "order_from", "outputs", "input.tried", "input.tried_on",
}  # fmt: skip
_NAMED_BY_VALUE = ("protocol", "optimizer")
_MAX_IN_A_NAME = 3


@dataclass(frozen=True)
class Setting:
    """One setting of a run.

    Attributes:
        key: what is compared; a dataset by its fingerprint, weights by their sha256.
        shown: what people read.
        is_circumstance: whether it may differ between repeats of one system.
    """

    key: str
    shown: str
    is_circumstance: bool = False


Settings = Mapping[str, Setting]


def settings_of(config: Mapping[str, Any]) -> dict[str, Setting]:
    """Return the settings of a run by label, in the order of config.json."""
    found = {}
    for path, value in _compared(config):
        label = _label(path)
        found[label] = Setting(str(value), shown(value), path.partition(".")[0] in _CIRCUMSTANCES)
    fingerprint = config["dataset"]["fingerprint"]
    found["dataset"] = Setting(fingerprint, PurePath(str(config["data"])).name or fingerprint[:8])
    if "kind" in config:  # evaluation.json, of a model that was not trained here
        if config["sha256"]:
            found["file"] = Setting(config["sha256"], config["sha256"][:8])
        return found
    loaded = config.get("loaded_weights")
    spec = PurePath(str(config["weights"])).name if loaded else "none"
    found["weights"] = Setting(loaded["sha256"] if loaded else "none", spec)
    return found


def identity(settings: Settings) -> tuple[tuple[str, str], ...]:
    """Return what makes two runs repeats of one system: equal for equal decisions, wherever they ran."""
    return tuple((label, found.key) for label, found in settings.items() if not found.is_circumstance)


def names(systems: Sequence[Settings]) -> list[str]:
    """Return a name for each system: its model, followed by the settings that tell systems of one model apart.

    If more than three settings differ, a letter stands for them, which the table of settings explains.
    """
    found = [settings["model"].shown for settings in systems]
    for model in set(found):
        places = [i for i, settings in enumerate(systems) if settings["model"].shown == model]
        if len(places) == 1:
            continue
        differing = _differing_phrases([systems[i] for i in places])
        for number, place in enumerate(places):
            if len(differing) > _MAX_IN_A_NAME:
                found[place] = f"{model} {_letters(number)}"
            else:
                found[place] = ", ".join([model, *(phrases[number] for phrases in differing)])
    return found


def _letters(number: int) -> str:
    """Return A to Z, AA, AB, ... for 0, 1, ..."""
    before, place = divmod(number, len(ascii_uppercase))
    return (_letters(before - 1) if before else "") + ascii_uppercase[place]


def settings_table(names: Sequence[str], systems: Sequence[Sequence[Settings]]) -> Table:
    """Return the settings that differ between systems, or between repeats of one.

    Args:
        names: the systems' names.
        systems: the settings of each system's runs.
    """
    flat = [settings for runs in systems for settings in runs]
    rows: dict[str, list[str]] = {}
    for label in _labels(flat):
        told = iter(_told_apart(flat, label))
        cells = [" / ".join(dict.fromkeys(islice(told, len(runs)))) for runs in systems]
        if label != "model" and (len(set(cells)) > 1 or any(" / " in cell for cell in cells)):
            rows[label] = cells
    note = "Every option of config.json that is not the same for all; seeds, folds and output folders are left out."
    title = "Settings that differ"
    if len(rows) < len(names):
        by_system: list[tuple[Cell, ...]] = [(name, *(c[i] for c in rows.values())) for i, name in enumerate(names)]
        return Table("settings", title, ("model", *rows), by_system if rows else [], note)
    return Table("settings", title, ("setting", *names), [(label, *cells) for label, cells in rows.items()], note)


def _compared(config: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Yield (dotted path, value) of what a comparison of configs looks at."""
    for path, value in flatten(config):
        parents = {path[:end] for end, character in enumerate(path + ".") if character == "."}
        if not parents & (_OF_A_REPEAT | _DERIVED):
            yield path, value


def _label(path: str) -> str:
    """Return the words for a place in config.json; protocol and environment are understood."""
    if path == "protocol.name":
        return "protocol"
    for parent in ("protocol.", "environment.packages.", "environment."):
        path = path.removeprefix(parent)
    return words(path)


def _labels(several: Sequence[Settings]) -> list[str]:
    return list(dict.fromkeys(label for settings in several for label in settings))


def _shown_of(settings: Settings, label: str) -> str:
    return settings[label].shown if label in settings else "unknown"


def _told_apart(systems: Sequence[Settings], label: str) -> list[str]:
    """Return a setting of each system; two of one model that read alike but differ get the start of their keys."""
    entries = [
        (settings["model"].key, _shown_of(settings, label), settings[label].key if label in settings else "")
        for settings in systems
    ]
    return [
        f"{cell} {key[:8]}" if any(other[:2] == (model, cell) and other[2] != key for other in entries) else cell
        for model, cell, key in entries
    ]


def _differing_phrases(systems: Sequence[Settings]) -> list[list[str]]:
    """Return for each setting that tells systems of one model apart a phrase for each system."""
    differing = []
    for label in _labels(systems):
        cells = _told_apart(systems, label)
        is_circumstance = any(settings[label].is_circumstance for settings in systems if label in settings)
        is_implied = all(_is_implied(settings, label) for settings in systems)
        if len(set(cells)) > 1 and not is_circumstance and not is_implied:
            differing.append([_phrase(label, cell) for cell in cells])
    return differing


def _is_implied(settings: Settings, label: str) -> bool:
    """Whether a setting has the value that the run's protocol, which a name gives, has by itself."""
    preset = PROTOCOLS.get(settings["protocol"].key) if "protocol" in settings else None
    if preset is None or label == "protocol" or label not in settings:
        return False
    own = {_label(f"protocol.{path}"): shown(value) for path, value in flatten(asdict(preset))}
    return own.get(label) == settings[label].shown


def _phrase(label: str, cell: str) -> str:
    if label in _NAMED_BY_VALUE:
        return cell
    return {"yes": label, "no": f"no {label}", "none": f"no {label}"}.get(cell, f"{label} {cell}")
