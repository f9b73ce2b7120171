"""README.md of an exported model: use, origin, check, limits. The prose is in templates/export_card.md.j2."""

from fastmri_cls.dataset import Dataset
from fastmri_cls.export.formats import FORMATS
from fastmri_cls.export.litert import LITERT_FILE
from fastmri_cls.export.onnx import ONNX_FILE
from fastmri_cls.export.saved_model import SAVED_MODEL_VERSION
from fastmri_cls.export.serving import PIXEL_TOLERANCE
from fastmri_cls.foundation.templates import render
from fastmri_cls.inference.agreement import Agreement
from fastmri_cls.runs.config import RunConfig


def export_card(format_: str, config: RunConfig, resize: str, dataset: Dataset, agreement: Agreement) -> str:
    """Return the card in Markdown.

    Args:
        format_: one of FORMATS.
        config: of the exported RUN.
        resize: how image files are resized.
        dataset: whose images the exported model was checked on.
        agreement: how far the exported model agrees with the RUN's.
    """
    return render(
        "export/templates/export_card.md.j2",
        format=format_,
        title=FORMATS[format_].title,
        config=config,
        agreement=agreement,
        resize=resize,
        dataset=dataset,
        saved_model_version=SAVED_MODEL_VERSION,
        onnx_file=ONNX_FILE,
        litert_file=LITERT_FILE,
        pixel_tolerance=PIXEL_TOLERANCE,
    )
