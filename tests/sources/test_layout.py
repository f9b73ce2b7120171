"""Layouts that people have on disk: what is read as which class and split, and what is passed over and said."""

from pathlib import Path

import pytest

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.sources.classes import ClassNames, read_classes
from fastmri_cls.sources.folders import Source
from fastmri_cls.sources.layout import BESIDE_IMAGES, BESIDE_SPLITS, LOOPS, LOOSE, NO_IMAGES, OWN_SET, SECOND_COPY
from fastmri_cls.sources.scan import Scan, scan


def make(root: Path, *names: str) -> Path:
    """Make files; `a/{1-3}.png` stands for a/1.png, a/2.png and a/3.png."""
    for name in names:
        head, _, rest = name.partition("{")
        span, _, tail = rest.partition("}")
        first, last = map(int, span.split("-")) if rest else (0, 0)
        for number in range(first, last + 1):
            path = root / (f"{head}{number}{tail}" if rest else name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"content")
    return root


def read(root: Path, classes: ClassNames | None = None) -> Scan:
    return scan([Source("s", root)], classes or ClassNames())


def found(result: Scan) -> dict[str, tuple[str | None, str]]:
    return {file.filename: (file.split, file.label) for file in result.files}


def passed(result: Scan) -> dict[str, tuple[int, str]]:
    return {reason: (files, first) for _, reason, files, first in result.passed_over}


def test_split_folders_unpacked_twice_are_entered(tmp_path):
    make(tmp_path, "Training/Training/glioma/a.png", "Testing/Testing/notumor/b.png")
    assert found(read(tmp_path)) == {
        "Training/Training/glioma/a.png": ("train", "glioma"),
        "Testing/Testing/notumor/b.png": ("test", "notumor"),
    }


def test_a_second_copy_inside_a_split_folder_is_passed_over(tmp_path):
    result = read(make(tmp_path, "Training/a/{1-2}.png", "Training/b/1.png", "Training/Training/a/{1-2}.png"))
    assert set(found(result)) == {"Training/a/1.png", "Training/a/2.png", "Training/b/1.png"}
    assert passed(result) == {SECOND_COPY: (2, "Training/Training/a/1.png")}


@pytest.mark.parametrize("wrapper", ["archive", "brain-mri/v2", "a/b/c"])
@pytest.mark.parametrize("below", ["Training/{0}", "{0}"])
def test_a_lone_folder_around_the_set_is_entered(tmp_path, wrapper, below):
    make(tmp_path, *(f"{wrapper}/{below.format(label)}/1.png" for label in ("cat", "dog")))
    assert {label for _, label in found(read(tmp_path)).values()} == {"cat", "dog"}


def test_a_copy_of_the_set_beside_its_classes_is_passed_over(tmp_path):
    result = read(
        make(tmp_path, "yes/1.png", "no/1.png", "brain_tumor_dataset/yes/1.png", "brain_tumor_dataset/no/1.png")
    )
    assert set(found(result)) == {"yes/1.png", "no/1.png"}
    assert passed(result) == {OWN_SET: (2, "brain_tumor_dataset/no/1.png")}


def test_class_folders_with_splits_below_give_class_and_split(tmp_path):
    make(tmp_path, "cat/train/1.png", "cat/test/p1/2.png", "dog/train/3.png", "dog/test/p2/4.png")
    assert found(read(tmp_path)) == {
        "cat/train/1.png": ("train", "cat"), "cat/test/p1/2.png": ("test", "cat"),
        "dog/train/3.png": ("train", "dog"), "dog/test/p2/4.png": ("test", "dog"),
    }  # fmt: skip


def test_files_beside_the_splits_of_a_class_are_passed_over(tmp_path):
    result = read(make(tmp_path, "cat/train/1.png", "cat/2.png", "cat/ground_truth/{1-3}.png", "dog/train/3.png"))
    assert set(found(result)) == {"cat/train/1.png", "dog/train/3.png"}
    assert passed(result) == {BESIDE_SPLITS: (4, "cat/2.png")}


def test_several_sets_under_one_source_are_refused_with_the_cure(tmp_path):
    make(
        tmp_path,
        *(f"{o}/{s}/{c}/1.png" for o in ("bottle", "cable") for s in ("train", "test") for c in ("good", "bad")),
    )
    with pytest.raises(UserError, match=r"bottle, cable hold split or class folders .* as bottle=.*/bottle"):
        read(tmp_path)


def test_one_of_such_sets_is_read(tmp_path):
    make(tmp_path, "bottle/train/good/1.png", "bottle/test/good/2.png", "bottle/test/bad/3.png", "bottle/masks/3.png")
    result = read(tmp_path)
    assert set(found(result).values()) == {("train", "good"), ("test", "good"), ("test", "bad")}
    assert passed(result) == {BESIDE_SPLITS: (1, "bottle/masks/3.png")}


def test_a_split_folder_inside_another_split_is_refused(tmp_path):
    with pytest.raises(UserError, match="a folder named test lies inside the train images"):
        read(make(tmp_path, "train/cat/1.png", "train/dog/test/1.png"))


@pytest.mark.parametrize("beside", ["masks", "Lung Masks", "crops", "annotations", "predictions", "ground_truth"])
def test_masks_beside_images_are_passed_over(tmp_path, beside):
    result = read(
        make(tmp_path, f"COVID/{beside}/{{1-3}}.png", "COVID/images/1.png", "Normal/1.png", f"Normal/{beside}/2.png")
    )
    assert set(found(result)) == {"COVID/images/1.png", "Normal/1.png"}
    assert passed(result) == {BESIDE_IMAGES: (4, f"COVID/{beside}/1.png")}


def test_mask_files_beside_their_image_are_passed_over(tmp_path):
    names = (
        "benign/benign (1).png",
        "benign/benign (1)_mask.png",
        "benign/benign (1)_mask_1.png",
        "normal/face mask.png",
    )
    result = read(make(tmp_path, *names))
    assert set(found(result)) == {names[0], names[3]}
    assert passed(result) == {BESIDE_IMAGES: (2, names[1])}


def test_masks_that_are_the_classes_are_read(tmp_path):
    make(tmp_path, "with_mask/1.png", "without mask/1.png", "mask/1.png")
    assert len(found(read(tmp_path))) == 3


def test_patient_folders_below_a_class_belong_to_it_even_with_numbers_for_names(tmp_path):
    make(tmp_path, *(f"{label}/{patient}/1.png" for label in (1, 2, 3) for patient in range(1, 30)))
    assert len(found(read(tmp_path))) == 3 * 29


def test_annotations_are_counted_apart_from_images(tmp_path):
    result = read(
        make(tmp_path, "cat/{1-3}.jpg", "cat/{1-3}.xml", "dog/1.jpg", "dog/1.txt", "dog/scan.mgz", "readme.md")
    )
    assert len(result.files) == 4
    assert passed(result) == {NO_IMAGES: (6, "cat/1.xml")}


def test_loose_images_are_counted_and_named(tmp_path):
    result = read(make(tmp_path, "cat/1.png", "dog/1.png", "{1-9}.png", "labels.csv"))
    assert passed(result) == {LOOSE: (9, "1.png"), NO_IMAGES: (1, "labels.csv")}


def test_a_test_folder_without_class_folders_is_named(tmp_path):
    result = read(make(tmp_path, "train/cat/1.png", "train/dog/1.png", "test/{1-5}.png"))
    assert passed(result) == {LOOSE: (5, "test/1.png")}


def test_links_to_folders_are_followed_at_any_depth(tmp_path):
    make(tmp_path / "elsewhere", "{0-9}.png")
    root = make(tmp_path / "source", "yes/1.png", "no/1.png")
    (root / "no" / "more").symlink_to(tmp_path / "elsewhere")
    assert len(read(root).files) == 12


def test_links_that_lead_back_end_and_are_counted(tmp_path):
    elsewhere = make(tmp_path / "elsewhere", "x/1.png")
    root = make(tmp_path / "source", "yes/1.png", "no/1.png")
    (root / "no" / "more").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(root / "no")
    (elsewhere / "x" / "above").symlink_to(tmp_path)
    result = read(root)
    assert set(found(result)) == {"yes/1.png", "no/1.png", "no/more/x/1.png"}
    assert passed(result) == {LOOPS: (2, "no/more/back")}


@pytest.mark.parametrize("pair", [("A", "a"), ("grade 1", "grade-1"), ("No_Finding", "nofinding".upper() + " ")])
def test_class_names_that_differ_in_case_or_sign_are_not_merged(tmp_path, pair):
    make(tmp_path, f"{pair[0]}/1.png", f"{pair[1]}/2.png", "B/3.png")
    if ClassNames().canonical(pair[0]) != ClassNames().canonical(pair[1]):
        assert len({label for _, label in found(read(tmp_path)).values()}) == 3
        return
    with pytest.raises(UserError, match=rf"{pair[0]}.*{pair[1]}.*--classes"):
        read(tmp_path)


def test_known_spellings_of_one_class_are_one_class(tmp_path):
    make(
        tmp_path,
        "Training/no_tumor/1.png",
        "Training/glioma/1.png",
        "Testing/No Tumor/2.png",
        "Testing/Glioma_Tumor/1.png",
    )
    assert {label for _, label in found(read(tmp_path)).values()} == {"notumor", "glioma"}


def test_a_classes_file_parts_or_joins_such_names(tmp_path):
    make(tmp_path / "s", "A/1.png", "a/2.png", "b c/3.png", "B_C/4.png")
    (tmp_path / "classes.txt").write_text("A\na\nbc: b c, B_C\n")
    classes = read_classes(tmp_path / "classes.txt")
    assert [file.label for file in read(tmp_path / "s", classes).files] == ["A", "bc", "a", "bc"]


def test_a_classes_file_may_name_a_class_like_a_split(tmp_path):
    make(tmp_path / "s", "car/1.png", "train/1.png")
    (tmp_path / "classes.txt").write_text("car\ntrain\n")
    assert {label for _, label in found(read(tmp_path / "s", read_classes(tmp_path / "classes.txt"))).values()} == {
        "car", "train",
    }  # fmt: skip


def test_a_source_without_an_image_says_what_it_holds(tmp_path):
    make(tmp_path, "01/anat/t1.mgz", "02/anat/t1.mgz")
    with pytest.raises(UserError, match=r"2 files passed over: no images .* \(the first: 01/anat/t1.mgz"):
        read(tmp_path)


def test_subjects_of_a_bids_folder_are_not_taken_for_classes(tmp_path):
    make(tmp_path, "sub-01/anat/t1.nii.gz", "sub-02/anat/t1.nii.gz", "participants.tsv")
    with pytest.raises(UserError, match=r"its folders \(sub-01, …\) are subjects, as in BIDS, not classes"):
        read(tmp_path)


@pytest.mark.parametrize(
    "names",
    [
        ("training_set/{0}/1.png", "test_set/{0}/1.png"),
        ("seg_train/seg_train/{0}/1.png", "seg_test/seg_test/{0}/1.png"),
        ("train/seg_train/{0}/1.png", "test/seg_test/{0}/1.png"),
        ("Images Train/{0}/1.png", "val-images/{0}/1.png"),
    ],
)
def test_folders_named_like_splits_are_no_classes_unless_listed(tmp_path, names):
    make(tmp_path / "s", *(name.format(label) for name in names for label in ("cat", "dog")))
    with pytest.raises(UserError, match=r"its class folders .* are named like splits; name them train and test"):
        read(tmp_path / "s")
    (tmp_path / "classes.txt").write_text("training_set\nseg_train\nImages Train\ntest_set\nseg_test\nval-images\n")
    assert len(found(read(tmp_path / "s", read_classes(tmp_path / "classes.txt")))) == 4


def test_one_folder_named_like_a_split_may_be_a_class(tmp_path):
    make(tmp_path, "tested/1.png", "stress test/1.png", "normal/1.png")
    assert len(found(read(tmp_path))) == 3


@pytest.mark.parametrize(
    "names", [("images/1.png", "masks/1.png"), ("imagesTr/1.nii.gz", "imagesTs/2.nii.gz", "labelsTr/1.nii.gz")]
)
def test_images_and_their_masks_are_no_two_classes(tmp_path, names):
    with pytest.raises(UserError, match="are no classes but images and what belongs to them; give the labels"):
        read(make(tmp_path, *names))


def test_volumes_are_images_and_their_masks_are_not(tmp_path):
    scans = [f"{label}/p1_{name}.nii.gz" for label in ("ill", "well") for name in ("flair", "t1")]
    result = read(make(tmp_path, *scans, "ill/p1_seg.nii.gz", "well/p1_t1_brain_mask.nii"))
    assert sorted(found(result)) == scans
    assert passed(result) == {BESIDE_IMAGES: (2, "ill/p1_seg.nii.gz")}


def test_what_was_read_is_told_in_one_line(tmp_path):
    [line] = read(make(tmp_path, "Training/no_tumor/{1-3}.png", "Testing/glioma/1.png")).layouts
    assert line == "source s: 4 images, classes from folders: glioma, no_tumor -> notumor; split: test 1, train 3"
