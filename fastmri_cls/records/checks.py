"""What stops a build: a target that would be harmed, too many bad files, classes that are missing or end empty."""

from collections.abc import Iterable
from pathlib import Path

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.records.catalogue import Catalogue
from fastmri_cls.records.options import BuildOptions
from fastmri_cls.sources.folders import ClassNames, printable


def check_target(out: Path, sources: Iterable[Path], kind: str, file_name: str, *, force: bool) -> None:
    """Refuse an `out` that would swallow a source, lie in one, or replace what is no `kind`, known by `file_name`.

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
    """Stop at too many rejected files, a class without a usable file, one class alone, or a source that lacks one.

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
        if file.label not in everything:
            raise UserError(f"class {file.label}: none of its files can be used (the first: {file.path}: {reason})")
    for name in classes.names:
        if name not in everything:
            raise UserError(f"class {name}: no source has a folder of it; mend the --classes file or the folder names")
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
