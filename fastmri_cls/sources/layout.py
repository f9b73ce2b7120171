"""Which folders of a source are splits, which are classes, and what is passed over. One rule for disks and archives:

1. A folder named train, val or test (or a usual variant) is a split. Folders beside splits are passed over.
2. Every other folder with images is a class, with all folders below it. Split folders in it (cat/train) are its splits.
3. A folder that holds the split and class folders of a set is no class. A lone one is the set itself: it is entered.
4. In a class folder, `images` excludes the folders beside it; masks, crops, annotations beside images are passed over.
   Beside volumes, whose names differ by sequence, every volume that is named as a mask is one.
5. Images in no class folder, and files that are no images by their suffix, are passed over.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.sources.classes import ClassNames
from fastmri_cls.sources.figshare import FOLDS_FILE
from fastmri_cls.sources.folders import Folder, Source
from fastmri_cls.sources.nifti import is_nifti

SPLITS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
LOOSE = "in no class folder"
NO_IMAGES = "no images by their suffix"
BESIDE_IMAGES = "masks, crops or annotations beside images (name them in a --table to read them)"
BESIDE_SPLITS = "in folders beside the split folders"
SECOND_COPY = "in a split folder inside a split folder"
OWN_SET = "in folders that hold class folders of their own"
FOLDS = "the published folds of figshare's set, unreadable or not those of all its slices"
LOOPS = "links that lead back to a folder above"

_IMAGE_FOLDER = re.compile(r"(?:images?|imgs?|originals?|raw)(?:tr|ts)?")  # imagesTr: Decathlon, nnU-Net
_KINDS_BESIDE = (
    r"masks?|labels?|segs?|segmentations?|segmented|annotations?|gt|ground[ _-]?truths?|boxes|bbox(?:es)?|rois?|"
    r"heat[ _-]?maps?|overlays?|predictions?|preds?|crops?|cropped|thumbs?|thumbnails?|contours?"
)
_FOLDER_BESIDE = re.compile(rf"(?:.*[ _-])?(?:{_KINDS_BESIDE})(?:tr|ts|[ _-]?\d+)?")
_FILE_BESIDE = re.compile(rf"(.+?)[ _.-]+(?:{_KINDS_BESIDE})(?:[ _-]?\d+)?")
_SUBJECT = re.compile(r"sub-[0-9a-z]+")
_OTHER_SUFFIXES = {
    ".xml", ".txt", ".json", ".jsonl", ".csv", ".tsv", ".yaml", ".yml", ".md", ".rst", ".html", ".htm", ".pdf", ".doc",
    ".docx", ".xls", ".xlsx", ".ini", ".cfg", ".log", ".names", ".py", ".ipynb", ".sh", ".npy", ".npz", ".pkl", ".h5",
    ".zip", ".tar", ".gz", ".rar", ".7z", ".nrrd", ".mha", ".mhd", ".mgz",
}  # fmt: skip


@dataclass(frozen=True)
class PlacedImage:
    """An image: its path relative to the source, the split its folders name (or None), and what names its class.

    `class_name` is as the folder or file spells it; empty where a table has it. `fold` is the published one, from 0.
    """

    path: str
    split: str | None
    class_name: str
    fold: int | None = None


@dataclass
class Layout:
    """What a source's folders were taken for.

    Attributes:
        images: in no particular order.
        passed_over: reason -> paths of the files.
    """

    images: list[PlacedImage] = field(default_factory=list)
    passed_over: dict[str, list[str]] = field(default_factory=dict)

    def pass_over(self, reason: str, paths: Iterable[str]) -> None:
        """Count files under a reason."""
        if found := list(paths):
            self.passed_over.setdefault(reason, []).extend(found)


def is_no_image(name: str) -> bool:
    """Return whether a file's suffix says that it is no image: annotations, texts, arrays."""
    return not is_nifti(name) and PurePosixPath(name).suffix.lower() in _OTHER_SUFFIXES


def _stem(name: str) -> str:
    """Return a file's name without its suffix, in one case."""
    return PurePosixPath(re.sub(r"(?i)\.nii\.gz$", ".nii", name)).stem.casefold()


def read_layout(source: Source, root: Folder, classes: ClassNames) -> Layout:
    """Apply the rule above to the tree `root` of `source`.

    Raises:
        UserError: folders contradict each other, hold several sets, or divide the set by something else than classes.
    """
    layout = Layout()
    layout.pass_over(LOOPS, root.all_loops())
    _Reader(source, classes, layout).read(root, None)
    if not classes.names:
        _refuse_splits(source, sorted({image.class_name for image in layout.images}))
    return layout


def _refuse_splits(source: Source, names: list[str]) -> None:
    """Refuse class folders that are splits by their names, as training_set and test_set or seg_train and seg_test."""
    first: dict[str, str] = {}  # split -> the first folder named like it
    for name in names:
        for word in re.split(r"[\s._-]+", name.casefold()):
            if word in SPLITS:
                first.setdefault(SPLITS[word], name)
    if len(first) > 1:
        one, other, *_ = first.values()
        raise UserError(
            f"source {source.name}: its class folders {one} and {other} are named like splits; name them train and "
            "test, with the class folders right in them, or list the classes in a --classes file"
        )


def images_below(folder: Folder, layout: Layout, keep: Sequence[str] = ()) -> list[str]:
    """Return the paths of the images in `folder` and below; what lies beside images goes to `layout.passed_over`.

    Args:
        keep: paths to read whatever their name says.
    """
    wanted = set(keep)
    stems = {_stem(name) for name in folder.files}
    has_scans = any(is_nifti(name) and not _FILE_BESIDE.fullmatch(_stem(name)) for name in folder.files)
    found, other, beside = [], [], []
    for name in folder.files:
        match = _FILE_BESIDE.fullmatch(_stem(name))
        if folder.join(name) in wanted:
            found.append(folder.join(name))
        elif is_no_image(name):
            other.append(folder.join(name))
        elif name.casefold() == FOLDS_FILE:
            layout.pass_over(FOLDS, [folder.join(name)])
        elif match and (match.group(1) in stems or (is_nifti(name) and has_scans)):
            beside.append(folder.join(name))
        else:
            found.append(folder.join(name))
    layout.pass_over(NO_IMAGES, other)
    layout.pass_over(BESIDE_IMAGES, beside)

    inside = [f for f in folder.folders if _IMAGE_FOLDER.fullmatch(f.name.casefold())]
    likely_beside = [f for f in folder.folders if _FOLDER_BESIDE.fullmatch(f.name.casefold())]
    if inside:
        passed = [f for f in folder.folders if f not in inside]
    else:
        passed = likely_beside if found or len(likely_beside) < len(folder.folders) else []
    for child in folder.folders:
        if child not in passed:
            found += images_below(child, layout, keep)
            continue
        below = list(child.below())
        found += [path for path in below if path in wanted]
        layout.pass_over(BESIDE_IMAGES, (path for path in below if path not in wanted))
    return found


class _Reader:
    def __init__(self, source: Source, classes: ClassNames, layout: Layout) -> None:
        self._source, self._classes, self._layout = source, classes, layout

    def read(self, folder: Folder, split: str | None) -> None:
        """Read a folder that holds split folders or class folders; `split` is that of a split folder above it."""
        self._pass_loose(folder)
        splits = [f for f in folder.folders if self._split_of(f)]
        others = [f for f in folder.folders if f not in splits]
        if not splits:
            self._read_classes(others, split)
        elif split is None:
            self._pass_folders(BESIDE_SPLITS, others)
            for child in splits:
                self.read(child, self._checked_split(child, None))
        elif any(any(f.below()) for f in others):  # an archive that was unpacked a second time inside itself
            self._pass_folders(SECOND_COPY, splits)
            self._read_classes(others, split)
        else:
            for child in splits:
                self.read(child, self._checked_split(child, split))

    def _read_classes(self, folders: list[Folder], split: str | None) -> None:
        folders = [f for f in folders if any(f.below())]
        all_names = {self._classes.canonical(f.name) for f in folders}
        sets = [f for f in folders if self._is_set(f, all_names)]
        classes = [f for f in folders if f not in sets]
        if not sets and len(folders) == 1 and split is None and self._is_wrapper(folders[0]):
            sets, classes = classes, []
        if len(sets) == 1 and not classes:
            self.read(sets[0], split)
            return
        if sets and not classes:
            one = sets[0]
            raise UserError(
                f"source {self._source.name}: {', '.join(f.path for f in sets[:4])} hold split or class folders of "
                f"their own; give each as a source, as {one.name}={self._source.path / one.path}, "
                "or name them in a --classes file"
            )
        self._pass_folders(OWN_SET, sets)
        if not self._classes.names:
            self._refuse_other_kinds(classes)
        names = {self._classes.canonical(f.name) for f in classes}
        for folder in classes:
            self._read_class(folder, split, names)

    def _refuse_other_kinds(self, folders: list[Folder]) -> None:
        """Refuse folders that divide a set by something else than classes."""
        images = [f for f in folders if _IMAGE_FOLDER.fullmatch(f.name.casefold())]
        beside = [f for f in folders if _FOLDER_BESIDE.fullmatch(f.name.casefold())]
        if images and beside and len(images) + len(beside) == len(folders):
            raise UserError(
                f"source {self._source.name}: its folders {images[0].name} and {beside[0].name} are no classes but "
                "images and what belongs to them; give the labels in a --table"
            )
        if len(folders) > 1 and all(_SUBJECT.fullmatch(f.name.casefold()) for f in folders):
            raise UserError(
                f"source {self._source.name}: its folders ({folders[0].name}, …) are subjects, as in BIDS, "
                "not classes; give the labels in a --table"
            )

    def _read_class(self, folder: Folder, split: str | None, classes: set[str]) -> None:
        splits = [f for f in folder.folders if self._split_of(f)]
        if splits:  # class first, split below
            beside = [f for f in folder.folders if f not in splits]
            self._layout.pass_over(BESIDE_SPLITS, map(folder.join, folder.files))
            self._pass_folders(BESIDE_SPLITS, beside)
            for child in splits:
                self._place(images_below(child, self._layout), self._checked_split(child, split), folder.name)
            return
        own = self._classes.canonical(folder.name)
        strangers = [f for f in folder.folders if self._names_other(f, own, classes) and folder.files]
        self._pass_folders(OWN_SET, strangers)
        rest = Folder(folder.path, tuple(f for f in folder.folders if f not in strangers), folder.files)
        self._place(images_below(rest, self._layout), split, folder.name)

    def _place(self, paths: list[str], split: str | None, class_name: str) -> None:
        self._layout.images += [PlacedImage(path, split, class_name) for path in paths]

    def _is_set(self, folder: Folder, classes: set[str]) -> bool:
        """Return whether a folder holds a set's split or class folders, so that it cannot be a class itself.

        `classes` are the classes that it and the folders beside it would be.
        """
        if self._classes.names and self._classes.knows(folder.name):
            return False
        own = self._classes.canonical(folder.name)
        splits = [f for f in folder.folders if self._split_of(f)]
        if splits:  # bottle/{train,test}/good is a set; in cat/{train,test} the folders below are patients, say
            inner = [f for s in splits for f in s.folders if not _IMAGE_FOLDER.fullmatch(f.name.casefold())]
            inner = [f for f in inner if not _FOLDER_BESIDE.fullmatch(f.name.casefold())]
            names = Counter(self._classes.canonical(f.name) for f in inner)
            return max(names.values(), default=0) > 1 or any(self._names_other(f, own, classes) for f in inner)
        named = sum(self._names_other(f, own, classes) for f in folder.folders)
        has_images = any(not is_no_image(name) for name in folder.files)
        return not has_images and named > 0 and 2 * named >= len(folder.folders)

    def _is_wrapper(self, folder: Folder) -> bool:
        """Return whether a lone folder only wraps the class folders, as archives do (PetImages/Cat, PetImages/Dog)."""
        inner = folder.folders
        if self._classes.knows(folder.name) or folder.files:
            return False
        return len(inner) > 1 or any(self._split_of(f) or self._is_wrapper(f) for f in inner)

    def _names_other(self, folder: Folder, own: str, classes: set[str]) -> bool:
        """Return whether a folder below that of class `own`, one of `classes`, is named as another class."""
        name = self._classes.canonical(folder.name)
        return (name in classes and name != own) or (self._classes.knows(folder.name) and len(classes) > 1)

    def _split_of(self, folder: Folder) -> str | None:
        """Return the split a folder's name means, None for a class that --classes lists (`train` beside `car`)."""
        is_class = self._classes.names and self._classes.knows(folder.name)
        return None if is_class else SPLITS.get(folder.name.casefold())

    def _checked_split(self, folder: Folder, above: str | None) -> str:
        split = SPLITS[folder.name.casefold()]
        if above not in (None, split):
            raise UserError(
                f"{self._source.path / folder.path}: a folder named {folder.name} lies inside the {above} images; "
                "move it out or rename it"
            )
        return split

    def _pass_loose(self, folder: Folder) -> None:
        for name in folder.files:
            self._layout.pass_over(NO_IMAGES if is_no_image(name) else LOOSE, [folder.join(name)])

    def _pass_folders(self, reason: str, folders: list[Folder]) -> None:
        for folder in folders:
            self._layout.pass_over(reason, folder.below())
