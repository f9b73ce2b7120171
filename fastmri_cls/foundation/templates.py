"""Jinja templates: every page and card of the package, named by its path in the package.

`report/templates/run.html` is escaped as HTML, `records/templates/dataset_card.md.j2` is plain text. The templates hold
the prose; Python hands them values.
"""

import shlex
from functools import cache
from pathlib import PurePath

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from fastmri_cls.foundation.tables import text


def render(template: str, **values: object) -> str:
    """Return a template filled with `values`; a value that the template needs and does not get is an error."""
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("fastmri_cls", ""),
        autoescape=select_autoescape(("html",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"cell": text, "yaml": _yaml, "base_name": base_name, "command": without_folders}
    return environment


def base_name(path: str) -> str:
    """Return the last part of a path: what a card may tell of a folder on somebody's machine; an address stays."""
    return path if "://" in path else PurePath(path).name or path


def without_folders(command: str) -> str:
    """Return a command line whose absolute paths are cut to their last part."""
    return shlex.join(without_folder(word) for word in shlex.split(command))


def without_folder(word: str) -> str:
    """Return `PATH` or `NAME=PATH` with an absolute path cut to its last part, anything else as it is."""
    name, separator, value = word.rpartition("=")
    return name + separator + base_name(value) if PurePath(value).is_absolute() else word


def _yaml(fields: object) -> str:
    """Return the lines of a YAML header."""
    return yaml.safe_dump(fields, sort_keys=False, allow_unicode=True, width=1000).rstrip("\n")
