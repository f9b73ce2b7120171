"""RUN/exports/FORMAT: exported models beside the model they were made from, and whether they still are that model's.

An export holds `export.json`:

    {"format": "onnx", "file": "model.onnx", "sha256": ..., "model_sha256": ..., "checked_images": 64,
     "largest_difference": 3.1e-07}
"""

from dataclasses import dataclass
from pathlib import Path

from fastmri_cls.foundation import json_files
from fastmri_cls.foundation.checksums import file_sha256
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.runs import files


@dataclass(frozen=True)
class ExportRecord:
    """export.json.

    Attributes:
        format: as `export --format` takes it.
        file: name of the file that holds the model; None for a format of several files.
        sha256: of that file.
        model_sha256: of the model.keras that was exported.
        checked_images: images on which both models were compared.
        largest_difference: of a probability on these images.
    """

    format: str
    file: str | None
    sha256: str | None
    model_sha256: str
    checked_images: int
    largest_difference: float


def export_folder(run: Path, format_: str) -> Path:
    """Return the folder in a RUN that holds its export in a format."""
    return run / files.EXPORTS / format_


def write_record(folder: Path, record: ExportRecord) -> None:
    """Write export.json into an export."""
    json_files.write(folder / files.EXPORT_RECORD, record)


def find_export(run: Path, format_: str) -> tuple[Path, ExportRecord]:
    """Return the model file of a RUN's export, and its record.

    Raises:
        UserError: it was made from another model.keras, or is damaged.
        FileNotFoundError: the RUN has no export in this format.
    """
    folder = export_folder(run, format_)
    cure = f"run fastmri-cls export {run} --format {format_} again"
    record = json_files.read(folder / files.EXPORT_RECORD, ExportRecord, cure)
    if record.model_sha256 != file_sha256(run / files.MODEL):
        raise UserError(f"{folder}: was made from another {files.MODEL} than the RUN has now; {cure}")
    path = folder / str(record.file)
    if not path.is_file() or file_sha256(path) != record.sha256:
        raise UserError(f"{path}: is missing or has changed since it was written; {cure}")
    return path, record
