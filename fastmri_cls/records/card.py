"""The dataset card, README.md of a dataset folder, in the form the Hugging Face hub reads (YAML header, Markdown).

The prose is in templates/dataset_card.md.j2.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from fastmri_cls.foundation.tables import Cell, Table
from fastmri_cls.foundation.templates import base_name, render, without_folder
from fastmri_cls.records.manifest import Manifest

_SIZE_CATEGORIES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_MOST_REJECTED = 50  # rows; dataset.json has them all


def dataset_card(manifest: Manifest) -> str:
    """Return the card: origin, counts by split, source and class, duplicates, rejected files, how to rebuild."""
    images = manifest.num_images
    return render(
        "records/templates/dataset_card.md.j2",
        manifest=manifest,
        images=images,
        header=_header(images),
        sources=Table(
            "sources",
            "Sources",
            ("source", "folder", "usable images"),
            [(source["name"], base_name(source["path"]), source["num_files"]) for source in manifest.sources],
        ),
        by_class=Table(
            "classes",
            "Images by split and class",
            ("split", *manifest.classes, "all"),
            [
                (name, *(split.per_class.get(c, 0) for c in manifest.classes), split.num_examples)
                for name, split in manifest.splits.items()
            ],
        ),
        by_source=Table(
            "sources",
            "Images by split and source",
            ("split", *manifest.source_names),
            [
                (name, *(split.per_source.get(s, 0) for s in manifest.source_names))
                for name, split in manifest.splits.items()
            ],
        ),
        rejected=Table(
            "rejected",
            "Rejected files",
            ("file", "reason"),
            [(file["path"], file["reason"]) for file in manifest.rejected[:_MOST_REJECTED]],
        ),
        options=Table("options", "Options", ("option", "value"), list(_option_rows(manifest.options))),
    )


def _header(images: int) -> dict[str, object]:
    """The metadata of the hub. Its viewer reads no TFRecord files, so it is switched off."""
    return {
        "pretty_name": "Image classification dataset built by fastmri-cls",
        "license": "other",
        "license_name": "as-the-sources",
        "task_categories": ["image-classification"],
        "size_categories": [next((name for bound, name in _SIZE_CATEGORIES if images < bound), "1M<n<10M")],
        "tags": ["medical-imaging", "mri", "tfrecord", "fastmri-cls"],
        "viewer": False,
    }


def _option_rows(options: Mapping[str, Any]) -> Iterator[tuple[Cell, ...]]:
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from _option_rows(value)
        elif name != "command":
            yield name.replace("_", " "), without_folder(str(value))
