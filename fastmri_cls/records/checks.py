"""Checks before images are split: the output folder, the fraction of unreadable files, missing classes."""

from collections.abc import Iterable
from pathlib import Path

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.records.catalogue import Catalogue
from fastmri_cls.records.options import BuildOptions
from fastmri_cls.sources.classes import ClassNames
from fastmri_cls.sources.folders import printable


def check_target(out: Path, sources: Iterable[Path], kind: str, file_name: str, *, force: bool) -> None:
    """Refuse an output folder that overlaps a source or replaces a folder of another kind.

    Args:
        out: the output folder.
        sources: the source folders.
        kind: what the output is called.
        file_name: the file by which such a folder is recognised.
        force: whether --force was given.

    Raises:
        UserError: see above.
    """
    target = out.resolve()
    for source in sources:
        folder = source.resolve()
        if target.is_relative_to(folder) or folder.is_relative_to(target):
            raise UserError(f"--out {out}: overlaps source {source}; choose a folder beside it")
    if force and target.is_dir() and any(target.iterdir()) and not (target / file_name).is_file():
        raise UserError(f"--out {out}: --force replaces a {kind}, and this folder holds none; choose another --out")


def check_ingested(catalogue: Catalogue, num_files: int, classes: ClassNames, options: BuildOptions) -> None:
    """Stop if too many files are unreadable, a class has no usable file, or a source lacks a class.

    Raises:
        UserError: see above.
    """
    if len(catalogue.rejected) > options.max_rejected * num_files:
        file, reason = catalogue.rejected[0]
        raise UserError(
            f"{len(catalogue.rejected)} of {num_files} files cannot be used (the first: {printable(str(file.path))}: "
            f"{reason}); mend them or raise --max-rejected {options.max_rejected}"
        )
    found: dict[str, set[str]] = {file.source: set() for file, _ in catalogue.rejected}
    for file in catalogue.files:
        found.setdefault(file.source, set()).add(file.label)
    everything = set().union(*found.values())
    for file, reason in catalogue.rejected:
        if file.label and file.label not in everything:
            raise UserError(f"class {file.label}: none of its files can be used (the first: {file.path}: {reason})")
    for name in classes.names:
        if name not in everything and not options.allow_missing_classes:
            raise UserError(
                f"class {name}: no source has a folder of it; mend the --classes file or the folder names, "
                "or add --allow-missing-classes"
            )
    if len(everything) < 2:
        raise UserError(
            f"only the class {', '.join(everything)} was found; a classifier needs at least two: "
            "sources are folders of class folders, perhaps under Training/Testing"
        )
    for source, labels in found.items():
        missing = sorted(everything - labels)
        if missing and not options.allow_missing_classes:
            raise UserError(
                f"source {source}: has no images of class {', '.join(missing)}; check the folder names, "
                "map them with --classes, or add --allow-missing-classes"
            )
