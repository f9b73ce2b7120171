"""`train --data FOLDER`: class folders become a dataset in the cache, which is found again until a file changes."""

import os
import shutil

import pytest

from fastmri_cls.dataset import Dataset
from fastmri_cls.foundation.atomic import new_directory
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.progress import log
from fastmri_cls.records import from_folder
from fastmri_cls.records.build import build_dataset
from fastmri_cls.records.from_folder import dataset_of
from fastmri_cls.records.options import BuildOptions
from fastmri_cls.sources.phantom import write_phantom_sources

OPTIONS = BuildOptions(image_size=16)


@pytest.mark.slow
def test_class_folders_are_built_once_and_again_after_a_change(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTMRI_CLS_CACHE", str(tmp_path / "cache"))
    write_phantom_sources(tmp_path, training=6, testing=2)
    source = tmp_path / "alpha"
    lines: list[str] = []
    monkeypatch.setattr(log, "info", lines.append)

    built = dataset_of(source, OPTIONS)
    assert built.parent == tmp_path / "cache" / "datasets"
    assert f"dataset: {built} (built from {source} now; --data {built} names it directly)" in lines
    dataset = Dataset(built, verify=True)
    assert dataset.image_size == 16
    assert dataset.manifest.split == "grouped"
    assert dataset_of(built, OPTIONS) == built, "a dataset is taken as it is"

    with monkeypatch.context() as patch:
        patch.setattr(from_folder, "build_dataset", None)  # nothing is built
        assert dataset_of(source, OPTIONS) == built
    assert lines[-1] == f"dataset: {built} (built earlier from {source}, in which nothing has changed)"

    image = next(source.rglob("0000.png"))
    with monkeypatch.context() as patch:
        patch.setattr(from_folder, "build_dataset", lambda *_: None)
        before = image.stat()
        os.utime(image, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
        assert dataset_of(source, OPTIONS) != built, "a file of the same name and size that was written again"
        os.utime(image, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert dataset_of(source, OPTIONS) == built

    image.unlink()
    rebuilt = dataset_of(source, OPTIONS)
    assert rebuilt != built
    assert Dataset(rebuilt).fingerprint != dataset.fingerprint


def test_a_folder_that_another_process_builds_from_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTMRI_CLS_CACHE", str(tmp_path / "cache"))
    write_phantom_sources(tmp_path, training=1, testing=1)

    def built_twice_at_once(sources, classes, options, folder, workers):
        with new_directory(folder):
            build_dataset(sources, classes, options, folder, workers)

    monkeypatch.setattr(from_folder, "build_dataset", built_twice_at_once)
    with pytest.raises(UserError) as caught:
        dataset_of(tmp_path / "alpha", OPTIONS)
    assert str(caught.value) == (
        f"{tmp_path / 'alpha'}: another process builds a dataset from it; run again when that is done"
    )


@pytest.mark.parametrize("broken", [9, 0])
def test_what_only_build_tfrecords_can_change_is_said_to_whoever_trains(tmp_path, monkeypatch, broken):
    """Nine unreadable files need --max-rejected, which train does not have; an empty class needs files."""
    monkeypatch.setenv("FASTMRI_CLS_CACHE", str(tmp_path / "cache"))
    write_phantom_sources(tmp_path, training=6, testing=2)
    source = tmp_path / "alpha"
    for number in range(broken):
        (source / "Training" / "glioma" / f"broken{number}.png").write_bytes(b"x")
    if not broken:
        shutil.rmtree(source / "Testing" / "glioma")
        shutil.rmtree(source / "Training" / "glioma")
        (source / "Training" / "glioma").mkdir()
        (source / "Training" / "glioma" / "broken.png").write_bytes(b"x")
    options = BuildOptions(image_size=16, max_rejected=0.05 if broken else 1)
    with pytest.raises(UserError) as caught:
        dataset_of(source, options)
    message = str(caught.value)
    if broken:
        assert f"run fastmri-cls build-tfrecords {source} --out DIR with them, then train --data DIR" in message
        assert "--max-rejected" in message
    else:
        assert "class glioma: none of its files can be used" in message
        assert "build-tfrecords" not in message, "there is no flag to give"
