"""Properties of manifests and dataset options: what is written is read again, and no mutation ends in a traceback."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.records.manifest import FILE_NAME, Manifest, Shard, Split, read_manifest
from fastmri_cls.records.options import BuildOptions, SplitOptions, as_flags

EXAMPLES = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
file_names = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1, max_size=12)
split_names = (
    st.sampled_from(["train", "val"])
    | st.integers(0, 99).map("fold-{}".format)
    | st.from_regex(r"\Atest\.[A-Za-z0-9_-]{1,8}\Z")
)
counts = st.integers(0, 10**12)
per_name = st.dictionaries(names, counts, max_size=4)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
plain_values = st.recursive(  # what json reads back equal
    st.none() | st.booleans() | st.integers() | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
shards = st.builds(
    Shard, file_names.filter(lambda name: name not in (".", "..")), counts, counts, st.text("0123456789abcdef")
)
splits = st.builds(Split, counts, per_name, per_name, st.lists(shards, max_size=3).map(tuple))
manifests = st.builds(
    Manifest,
    classes=st.lists(names, min_size=1, max_size=4, unique=True).map(tuple),
    image_size=st.integers(1, 4096),
    channels=st.sampled_from([1, 3]),
    encoding=st.sampled_from(["raw", "png", "jpeg"]),
    options=st.dictionaries(names, plain_values, max_size=3),
    sources=st.lists(st.fixed_dictionaries({"name": names, "path": names, "num_files": counts}), max_size=3),
    split=names,
    splits=st.dictionaries(split_names, splits, max_size=3),
    rejected=st.lists(st.fixed_dictionaries({"path": names, "reason": names}), max_size=2),
    duplicates=st.dictionaries(names, counts | st.dictionaries(names, counts, max_size=2), max_size=3),
)


@EXAMPLES
@given(manifest=manifests)
def test_any_manifest_is_read_as_it_was_written(tmp_path: Path, manifest: Manifest) -> None:
    manifest.write(tmp_path)
    assert read_manifest(tmp_path) == manifest


def refused_or_equal(folder: Path, manifest: Manifest) -> bool:
    try:
        return read_manifest(folder) == manifest
    except UserError as error:
        return FILE_NAME in str(error) and "\n" not in str(error)


def paths_in(value: Any) -> list[tuple[Any, ...]]:
    """Every place in nested dicts and lists, as keys from the outside in."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, item in inner for place in [(key,), *((key, *rest) for rest in paths_in(item))]]


def changed(content: Any, place: tuple[Any, ...], change: Callable[[Any, Any], None]) -> None:
    for key in place[:-1]:
        content = content[key]
    change(content, place[-1])


@EXAMPLES
@given(manifest=manifests, data=st.data())
def test_any_edit_of_the_json_is_refused_or_changes_nothing(tmp_path: Path, manifest: Manifest, data: Any) -> None:
    manifest.write(tmp_path)
    content = json.loads((tmp_path / FILE_NAME).read_text(encoding="utf-8"))
    place = data.draw(st.sampled_from(paths_in(content)))
    if data.draw(st.booleans()):
        changed(content, place, lambda holder, key: holder.pop(key))
    else:
        value = data.draw(json_values)
        changed(content, place, lambda holder, key: holder.__setitem__(key, value))
    (tmp_path / FILE_NAME).write_text(json.dumps(content), encoding="utf-8")
    assert refused_or_equal(tmp_path, manifest)


@EXAMPLES
@given(manifest=manifests, data=st.data())
def test_any_damage_of_the_bytes_is_refused_or_changes_nothing(tmp_path: Path, manifest: Manifest, data: Any) -> None:
    manifest.write(tmp_path)
    content = bytearray((tmp_path / FILE_NAME).read_bytes())
    start = data.draw(st.integers(0, len(content) - 1))
    content[start : start + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=8))
    (tmp_path / FILE_NAME).write_bytes(content)
    assert refused_or_equal(tmp_path, manifest)


build_options = st.builds(
    BuildOptions,
    image_size=st.integers(16, 1024),
    resize=st.sampled_from(["bilinear", "nearest", "lanczos"]),
    channels=st.sampled_from(["auto", "1", "3"]),
    encoding=st.sampled_from(["raw", "png", "jpeg"]),
    splitting=st.builds(
        SplitOptions,
        method=st.sampled_from(["grouped", "published"]),
        val_fraction=st.floats(0.0, 0.9),
        test_fraction=st.floats(0.0, 0.9),
        leakage=st.sampled_from(["report", "drop", "fail"]),
        keep_copies=st.booleans(),
        folds=st.none() | st.integers(2, 10),
        train_fraction=st.floats(0.01, 1.0),
        train_source=st.lists(st.sampled_from(["one", "two"]), max_size=2, unique=True).map(tuple),
        seed=st.integers(0, 2**31),
    ),
    shards=st.none() | st.integers(1, 64),
    max_rejected=st.floats(0.0, 1.0),
    allow_missing_classes=st.booleans(),
)


@pytest.mark.slow
@EXAMPLES
@given(options=build_options)
def test_the_flags_of_any_options_give_the_options_again_on_the_command_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, options: BuildOptions
) -> None:
    from typer.testing import CliRunner

    from fastmri_cls.cli.app import app
    from fastmri_cls.records import build

    built: list[BuildOptions] = []

    class Enough(Exception):  # noqa: N818 - stops the command once its options are known
        pass

    def take(_sources: object, _names: object, options: BuildOptions, *_: object, **__: object) -> None:
        built.append(options)
        raise Enough

    monkeypatch.setattr(build, "build_dataset", take)
    (tmp_path / "source").mkdir(exist_ok=True)
    arguments = ["build-tfrecords", str(tmp_path / "source"), "--out", str(tmp_path / "out"), *as_flags(options)]
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, Enough), result.output
    assert built == [options]
