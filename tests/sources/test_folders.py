"""Folders as people have them: which files are images of which class and split."""

import unicodedata
from pathlib import Path

import pytest

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.sources.classes import ClassNames, read_classes
from fastmri_cls.sources.folders import Source, SourceFile, parse_sources, printable
from fastmri_cls.sources.scan import scan


def make(root: Path, *names: str) -> Source:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"content")
    return Source("s", root)


def found(source: Source, classes: ClassNames | None = None) -> dict[str, tuple[str | None, str]]:
    return {file.filename: (file.split, file.label) for file in scan([source], classes or ClassNames()).files}


def test_training_and_testing_folders_give_the_split(tmp_path: Path) -> None:
    source = make(tmp_path, "Training/glioma/a.png", "TESTING/no_tumor/b.png", "valid/glioma/c.png")
    assert found(source) == {
        "Training/glioma/a.png": ("train", "glioma"),
        "TESTING/no_tumor/b.png": ("test", "notumor"),
        "valid/glioma/c.png": ("val", "glioma"),
    }


def test_without_split_folders_there_is_no_given_split(tmp_path: Path) -> None:
    assert found(make(tmp_path, "cat/a.png", "Dog/b.png")) == {"cat/a.png": (None, "cat"), "Dog/b.png": (None, "dog")}


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("glioma_tumor", "glioma"), ("Glioma Tumor", "glioma"), ("glioma-tumour", "glioma"), ("GliomaTumor", "glioma"),
        ("GLIOMA", "glioma"), ("Meningioma_Tumor", "meningioma"), ("no_tumor", "notumor"), ("No Tumor", "notumor"),
        ("no-tumour", "notumor"), ("NoTumor", "notumor"), ("notumor", "notumor"), ("non_tumor", "notumor"),
        ("pituitary_tumor", "pituitary"), (" pituitary tumour", "pituitary"), ("Class A", "class_a"),
        ("NORMAL", "normal"),
    ],
)  # fmt: skip
def test_class_folders_in_any_usual_spelling(folder: str, name: str) -> None:
    assert ClassNames().canonical(folder) == name


def test_accents_composed_or_not_are_one_class() -> None:
    apart = unicodedata.normalize("NFD", "Tumör")
    assert ClassNames().canonical(apart) == ClassNames().canonical("tumör")


def test_folders_below_a_class_folder_belong_to_it(tmp_path: Path) -> None:
    source = make(tmp_path, "glioma/patient 1/axial/a.png", "glioma/пациент/b.png", "notumor/c.png")
    assert {label for _, label in found(source).values()} == {"glioma", "notumor"}
    assert set(found(source)) == {"glioma/patient 1/axial/a.png", "glioma/пациент/b.png", "notumor/c.png"}


def test_files_of_the_system_are_passed_over(tmp_path: Path) -> None:
    noise = ["Thumbs.db", ".DS_Store", "._a.png", "desktop.ini"]
    source = make(tmp_path, "glioma/a.png", *(f"glioma/{name}" for name in noise), "__MACOSX/glioma/a.png", *noise)
    assert set(found(source)) == {"glioma/a.png"}


def test_loops_of_links_end(tmp_path: Path) -> None:
    source = make(tmp_path, "Training/glioma/a.png", "Training/notumor/b.png")
    (tmp_path / "Training" / "glioma" / "up").symlink_to(tmp_path)
    (tmp_path / "Training" / "again").symlink_to(tmp_path / "Training")
    (tmp_path / "all").symlink_to(tmp_path)
    (tmp_path / "Training" / "self").symlink_to(tmp_path / "Training" / "self")
    assert set(found(source)) == {"Training/glioma/a.png", "Training/notumor/b.png"}


def test_a_linked_class_folder_is_followed(tmp_path: Path) -> None:
    make(tmp_path / "elsewhere", "x/a.png")
    source = make(tmp_path / "source", "notumor/b.png")
    (tmp_path / "source" / "glioma").symlink_to(tmp_path / "elsewhere" / "x")
    assert set(found(source)) == {"glioma/a.png", "notumor/b.png"}


def test_files_come_sorted_whatever_the_order_on_disk(tmp_path: Path) -> None:
    names = ["b/2.png", "a/1.png", "b/10.png", "a/0.png", "b/B.png"]
    assert list(found(make(tmp_path, *names))) == sorted(names)


def test_a_source_without_class_folders_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no files in class folders"):
        scan([make(tmp_path, "a.png")], ClassNames())


def test_a_name_that_is_no_text_can_still_be_printed(tmp_path: Path) -> None:
    (tmp_path / "glioma").mkdir()
    (tmp_path / "glioma" / "a\udcff.png").write_bytes(b"content")
    [file] = scan([Source("s", tmp_path)], ClassNames()).files
    assert printable(file.filename) == "glioma/a\\xff.png"


def test_same_file_names_in_two_sources_stay_apart(tmp_path: Path) -> None:
    files: list[SourceFile] = []
    for source in parse_sources(
        [f"one={make(tmp_path / 'x', 'a/1.png').path}", f"two={make(tmp_path / 'y', 'a/1.png').path}"]
    ):
        files += scan([source], ClassNames()).files
    assert [(file.source, file.filename) for file in files] == [("one", "a/1.png"), ("two", "a/1.png")]


def test_a_source_is_named_after_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "Brain MRI (v2)"
    folder.mkdir()
    assert [source.name for source in parse_sources([str(folder)])] == ["Brain-MRI-v2"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{0}/missing"], "is no folder"),
        (["a/b={0}"], "may hold letters"),
        (["={0}"], "may hold letters"),
        (["{0}/rate=1"], "give NAME=SOURCE, also for a path that holds ="),
        (["one="], "source 'one=': names no folder"),
        ([""], "source '': names no folder"),
        (["one={0}", "ONE={0}"], "another source is named"),
    ],
)
def test_a_wrong_source_argument_is_named(tmp_path: Path, arguments: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_sources([argument.format(tmp_path) for argument in arguments])


def test_a_classes_file_maps_spellings_and_gives_the_label_order(tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"
    path.write_text("# order matters\nHealthy: NORMAL, no finding\n\nill: pneumonia  # both kinds\n", encoding="utf-8")
    classes = read_classes(path)
    assert classes.order(["ill"]) == ["Healthy", "ill"]
    source = make(tmp_path / "source", "normal/a.png", "No_Finding/b.png", "PNEUMONIA/c.png", "healthy/d.png")
    assert [label for _, label in found(source, classes).values()] == ["Healthy", "ill", "Healthy", "Healthy"]


def test_a_classes_file_may_begin_with_the_mark_that_windows_editors_write(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("a\nb\n", encoding="utf-8-sig")
    assert read_classes(tmp_path / "classes.txt").names == ("a", "b")


def test_a_folder_the_classes_file_does_not_know_is_named(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("a\nb\n", encoding="utf-8")
    with pytest.raises(UserError, match="'c' is not in the --classes file"):
        scan([make(tmp_path / "source", "a/1.png", "c/1.png")], read_classes(tmp_path / "classes.txt"))


@pytest.mark.parametrize(
    ("text", "message"), [("a: x\nb: x\n", "stands for two classes"), ("a\n", "at least two"), ("", "at least two")]
)
def test_a_wrong_classes_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "classes.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        read_classes(path)


def test_a_missing_classes_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nothing.txt: cannot be read \(No such file or directory\); give a text file"):
        read_classes(tmp_path / "nothing.txt")


def test_a_classes_file_in_another_encoding_is_named(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("Tumör\nother\n", encoding="utf-16")
    with pytest.raises(UserError, match=r"classes.txt: is no text in UTF-8; save it as UTF-8"):
        read_classes(tmp_path / "classes.txt")


@pytest.mark.parametrize("name", ["pooled", "mean", "alpha-clean"])
def test_a_source_named_as_a_test_set_of_several_is_refused_before_anything_is_built(tmp_path, name):
    with pytest.raises(UserError, match=f"source {name}=.*: results have a test set {name} of their own"):
        parse_sources([f"{name}={tmp_path}"])
