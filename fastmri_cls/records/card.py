"""The dataset card, README.md of a dataset folder, in the form the Hugging Face hub reads (YAML header, Markdown)."""

import json

from fastmri_cls.records.manifest import Manifest

_SIZE_CATEGORIES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_MOST_REJECTED = 50  # rows; dataset.json has them all


def dataset_card(manifest: Manifest) -> str:
    """Return the card: origin, counts by split, source and class, duplicates, rejected files, how to rebuild."""
    total = sum(split.num_examples for split in manifest.splits.values())
    parts = [
        *_header(manifest, total),
        "# Image classification dataset built by fastmri-cls",
        "",
        f"{total} images of {manifest.image_size} x {manifest.image_size} pixels, {manifest.channels} channel(s) of "
        f"uint8, {manifest.encoding} encoding, in TFRecord shards. Split: `{manifest.split}`. "
        f"Fingerprint: `{manifest.fingerprint}`.",
        "",
        "## Dataset sources",
        "",
        *_table(
            ("source", "folder", "usable images"), [(s["name"], s["path"], s["num_files"]) for s in manifest.sources]
        ),
        "",
        "The images remain under their sources' licences; this folder is a derived copy.",
        "",
        "## Dataset structure",
        "",
        "`dataset.json` lists every shard with its examples, bytes and sha256; `images.csv` lists every image with its "
        "group and its split, or why it is in none. A record is a `tf.train.Example` with `image/encoded`, "
        "`image/format`, `image/height`, `image/width`, `image/channels`, `image/class/label`, `image/class/text`, "
        "`image/source`, `image/filename`, `image/sha256`, `image/group` and `image/clean`.",
        "",
        "Images by split and class:",
        "",
        *_table(
            ("split", *manifest.classes, "all"),
            [
                (name, *(split.per_class.get(c, 0) for c in manifest.classes), split.num_examples)
                for name, split in manifest.splits.items()
            ],
        ),
        "",
        "Images by split and source:",
        "",
        *_table(
            ("split", *manifest.source_names),
            [
                (name, *(split.per_source.get(s, 0) for s in manifest.source_names))
                for name, split in manifest.splits.items()
            ],
        ),
        "",
        "## Dataset creation",
        "",
        "```sh",
        manifest.options["command"],
        "```",
        "",
        "The same sources, options and seed give byte-identical shards with any number of workers: compare "
        "`fingerprint` in `dataset.json`. `fastmri-cls verify` checks this folder against it.",
        "",
        "### Duplicates",
        "",
        *_duplicates(manifest),
        "",
        "### Rejected files",
        "",
        *_rejected(manifest),
        "",
        "### Options",
        "",
        "```json",
        json.dumps(manifest.options, indent=2, ensure_ascii=False),
        "```",
        "",
        "## Bias, risks and limitations",
        "",
        *_limitations(manifest),
    ]
    return "\n".join(parts) + "\n"


def _header(manifest: Manifest, total: int) -> list[str]:
    """The YAML the hub reads; its names are quoted as JSON strings, which YAML takes as they are."""
    category = next((name for bound, name in _SIZE_CATEGORIES if total < bound), "1M<n<10M")
    lines = [
        "---",
        "pretty_name: Image classification dataset built by fastmri-cls",
        "license: other",
        "task_categories:",
        "- image-classification",
        "size_categories:",
        f"- {json.dumps(category)}",
        "tags:",
        "- medical-imaging",
        "- mri",
        "- fastmri-cls",
        "dataset_info:",
        "  features:",
        "  - name: image",
        "    dtype: image",
        "  - name: label",
        "    dtype:",
        "      class_label:",
        "        names:",
    ]
    lines += [
        f"          {json.dumps(str(label))}: {json.dumps(name, ensure_ascii=False)}"
        for label, name in enumerate(manifest.classes)
    ]
    lines.append("  splits:")
    for name, split in manifest.splits.items():
        lines += [
            f"  - name: {json.dumps(name)}",
            f"    num_bytes: {sum(shard.bytes for shard in split.shards)}",
            f"    num_examples: {split.num_examples}",
        ]
    return [*lines, "---", ""]


def _duplicates(manifest: Manifest) -> list[str]:
    found = manifest.duplicates
    left_out = [f"- left out, {reason}: {count}" for reason, count in found["dropped"].items()]
    return [
        f"- pairs of exact copies: {found['exact']}",
        f"- pairs of near copies (re-encoded, resized, mirrored, turned): {found['near']}",
        f"- independent groups: {found['groups']}",
        f"- groups with images in more than one split: {found['straddling']}",
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


def _limitations(manifest: Manifest) -> list[str]:
    straddling = manifest.duplicates["straddling"]
    leak = (
        f"- {straddling} groups of copies have images in more than one split: accuracy on the test images that are not "
        "`clean` is inflated."
        if straddling
        else "- No group of copies has images in more than one split."
    )
    return [
        leak,
        "- Groups hold copies and, where a CSV named them, patients. Without a CSV, other slices of a patient may "
        "be in several splits.",
        "- Labels are those of the sources' folders; nobody has read the images again.",
    ]


def _table(header: tuple[str, ...], rows: list[tuple[object, ...]]) -> list[str]:
    def line(cells: tuple[object, ...]) -> str:
        return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"

    return [line(header), line(("---",) * len(header)), *(line(row) for row in rows)]
