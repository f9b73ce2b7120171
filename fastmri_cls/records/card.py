"""The dataset card, README.md of a dataset folder, in the form the Hugging Face hub reads (YAML header, Markdown)."""

import json

from fastmri_cls.records.manifest import Manifest

_SIZE_CATEGORIES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_MOST_REJECTED = 50  # rows; dataset.json has them all


def dataset_card(manifest: Manifest) -> str:
    """Return the card: origin, counts by split, source and class, duplicates, rejected files, how to rebuild."""
    total = sum(split.num_examples for split in manifest.splits.values())
    category = next((name for bound, name in _SIZE_CATEGORIES if total < bound), "1M<n<10M")
    parts = [
        "---",
        "task_categories: [image-classification]",
        f"size_categories: [{json.dumps(category)}]",
        "tags: [medical-imaging, mri, fastmri-cls]",
        "---",
        "",
        "# Image classification dataset built by fastmri-cls",
        "",
        f"{total} images of {manifest.image_size} x {manifest.image_size} pixels, {manifest.channels} channel(s) of "
        f"uint8, {manifest.encoding} encoding, in TFRecord shards. Split: `{manifest.split}`. "
        f"Fingerprint: `{manifest.fingerprint}`.",
        "",
        "## Origin",
        "",
        *_table(
            ("source", "folder", "usable images"), [(s["name"], s["path"], s["num_files"]) for s in manifest.sources]
        ),
        "",
        "The images remain under their sources' licences; this folder is a derived copy.",
        "",
        "## Counts",
        "",
        *_table(
            ("split", *manifest.classes, "all"),
            [
                (name, *(split.per_class.get(c, 0) for c in manifest.classes), split.num_examples)
                for name, split in manifest.splits.items()
            ],
        ),
        "",
        *_table(
            ("split", *manifest.source_names),
            [
                (name, *(split.per_source.get(s, 0) for s in manifest.source_names))
                for name, split in manifest.splits.items()
            ],
        ),
        "",
        "## Duplicates",
        "",
        *_duplicates(manifest),
        "",
        "## Rejected files",
        "",
        *_rejected(manifest),
        "",
        "## How to rebuild",
        "",
        "Every image's group and split stand in `images.csv`; the options, in `dataset.json`, were:",
        "",
        "```json",
        json.dumps(manifest.options, indent=2),
        "```",
        "",
        "The same sources, options and seed give byte-identical shards: compare `fingerprint` in `dataset.json`.",
    ]
    return "\n".join(parts) + "\n"


def _duplicates(manifest: Manifest) -> list[str]:
    found = manifest.duplicates
    left_out = [f"- left out, {reason}: {count}" for reason, count in found["dropped"].items()]
    return [
        f"- pairs of exact copies: {found['exact']}",
        f"- pairs of near copies (re-encoded, resized, mirrored, turned): {found['near']}",
        f"- independent groups: {found['groups']}",
        f"- groups with conflicting labels: {found['label_conflicts']}",
        *(left_out or ["- left out: none"]),
    ]


def _rejected(manifest: Manifest) -> list[str]:
    if not manifest.rejected:
        return ["None."]
    shown = manifest.rejected[:_MOST_REJECTED]
    rest = len(manifest.rejected) - len(shown)
    return _table(("file", "reason"), [(r["path"], r["reason"]) for r in shown]) + (
        ["", f"and {rest} more, see `dataset.json`."] if rest else []
    )


def _table(header: tuple[str, ...], rows: list[tuple[object, ...]]) -> list[str]:
    def line(cells: tuple[object, ...]) -> str:
        return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"

    return [line(header), line(("---",) * len(header)), *(line(row) for row in rows)]
