"""What an audit found, for people: tables on the terminal, and audit.html with pairs side by side.

The prose of the page is in templates/audit.html.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from fastmri_cls.auditing.findings import Findings
from fastmri_cls.auditing.label_report import doubtful_pictures, labels_sentence, labels_table
from fastmri_cls.auditing.leakage import KINDS, Columns
from fastmri_cls.auditing.patient_report import patient_sentences, patient_tables
from fastmri_cls.duplicates.hashing import ORIENTATIONS
from fastmri_cls.duplicates.pairs import Pair, bound_notes
from fastmri_cls.foundation.tables import Table
from fastmri_cls.report.html import jpeg_uri, write_page
from fastmri_cls.report.tables import print_table

_MAX_PAIRS = 24  # in each of four sections: 96 pairs are about 1 MB
_MAX_REJECTED = 50  # rows; audit.json has them all
_PICTURE = 192  # pixels of the longer side
_TURNS = {"id": "", "hflip": "mirrored left to right", "vflip": "mirrored top to bottom", "rot180": "rotated by 180°"}
_SHORTCUT_MARGIN = 0.1  # accuracy of file properties above that of the majority class that is worth a warning


def findings_tables(findings: Findings) -> list[Table]:
    """Return the tables of an audit.json that have rows."""
    places = ("pairs", "within_split", "across_splits", "across_sources", "conflicting")
    classes = [place.removeprefix("class ") for place in findings["pairs"]["all"] if place.startswith("class ")]
    accuracies = findings["baselines"]
    baselines = list(next(iter(accuracies.values()), {}))
    tables = [
        Table(
            "pairs",
            "Pairs of duplicates",
            ("kind", "pairs", "within a split", "across splits", "across sources", "conflicting labels"),
            [(kind, *(counts[place] for place in places)) for kind, counts in findings["pairs"].items()],
            "exact: pixels equal to those of an earlier image; upright: re-encoded or resized; mirrored: similar after "
            "a flip or a half turn.",
        ),
        Table(
            "pairs-by-class",
            "Pairs of duplicates by class",
            ("class", *KINDS, "all"),
            [(name, *(findings["pairs"][kind][f"class {name}"] for kind in (*KINDS, "all"))) for name in classes],
            "Pairs whose images have the same label.",
        ),
        Table(
            "leakage",
            "Test images with a duplicate in training",
            ("test set", "training images of", "test images", *KINDS, "linked", "clean"),
            [
                (source, scope, leaks["images"], *counts.values())
                for source, leaks in findings["test_sets"].items()
                for scope, counts in ((source, leaks["own"]), ("any source", leaks["any"]))
            ],
            "Each test image counts once, by its closest duplicate; linked: connected through other duplicates only.",
        ),
        Table(
            "clean",
            "Clean test images by class",
            ("test set", *classes),
            [
                (source, *(f"{leaks['clean_per_class'][c]:,} of {leaks['per_class'][c]:,}" for c in classes))
                for source, leaks in findings["test_sets"].items()
            ],
            "Test images without a duplicate in the training images of any source.",
        ),
        Table(
            "baselines",
            "Accuracy of shortcut baselines",
            ("test set", *baselines),
            [(name, *(found[baseline] for baseline in baselines)) for name, found in accuracies.items()],
            "Baselines without a network, given all training images: the most frequent class, properties of the image "
            "files, the most similar training thumbnail. A model must be clearly more accurate.",
        ),
    ]
    tables += patient_tables(findings)
    if "labels" in findings:
        tables.append(labels_table(findings["labels"]))
    return [table for table in tables if table.rows]


def groups_sentence(findings: Findings) -> str:
    """Return the groups of an audit.json in one sentence."""
    groups = findings["groups"]
    images = sum(sum(splits.values()) for splits in findings["images"].values())
    return (
        f"{images:,} images form {groups['independent']:,} independent groups. {groups['of_copies']:,} groups hold "
        f"duplicates ({groups['images_in_them']:,} images, at most {groups['largest']:,} in one group); "
        f"{groups['across_splits']:,} groups straddle splits, {groups['across_sources']:,} straddle sources, "
        f"{groups['conflicting']:,} have conflicting labels ({groups['images_in_conflict']:,} images)."
    )


def _sentences(findings: Findings) -> list[str]:
    """Return the findings in words: groups, patients, bounds of the search, doubtful labels."""
    bounds = bound_notes(findings["search"]["crowded"], findings["search"]["cut"])
    labels = [labels_sentence(findings["labels"])] if "labels" in findings else []
    return [groups_sentence(findings), *patient_sentences(findings), *bounds, *labels]


def advice(findings: Findings) -> list[str]:
    """Return what to do about the findings of an audit.json."""
    sentences = []
    leaking = {
        source: (leaks["images"] - leaks["any"]["clean"], leaks["images"])
        for source, leaks in findings["test_sets"].items()
        if leaks["any"]["clean"] < leaks["images"]
    }
    if leaking:
        counts = "; ".join(
            f"{count:,} of {images:,} test images of {name}" for name, (count, images) in leaking.items()
        )
        sentences.append(
            f"Leakage: {counts} have a duplicate in training, so a test accuracy measures memory. Build with "
            "build-tfrecords --split grouped for a new split without leakage, or keep the published test set with "
            "--split published --leakage drop, which leaves the duplicates out of training."
        )
    if findings["groups"]["conflicting"]:
        sentences.append(
            f"Conflicting labels: {findings['groups']['conflicting']:,} groups of duplicates have more than one label. "
            "Look at the pairs under “Conflicting labels”; --split grouped leaves these groups out."
        )
    pooled = list(findings["baselines"].values())[-1:]
    shortcuts = [b for b in pooled if b.get("metadata only", 0) > b["majority class"] + _SHORTCUT_MARGIN]
    if shortcuts:
        sentences.append(
            f"Shortcuts: properties of the files alone give an accuracy of {shortcuts[0]['metadata only']:.3f} "
            f"(majority class: {shortcuts[0]['majority class']:.3f}). The classes were saved differently; a model may "
            "learn that instead of the images."
        )
    return sentences


def print_audit(findings: Findings, directory: Path, out: Console) -> None:
    """Print the tables of an audit.json, what was rejected, what to do, and where the report is."""
    for sentence in _sentences(findings):
        out.print(sentence)
    for table in findings_tables(findings):
        out.print()
        print_table(table, out)
    out.print()
    if findings["rejected"]:
        first = findings["rejected"][0]
        counted = f"rejected: {len(findings['rejected']):,} files, listed in audit.json"
        out.print(f"{counted} (the first: {first['path']}: {first['reason']})")
    for sentence in advice(findings):
        out.print(sentence)
    out.print(f"report: {directory / 'audit.html'}", soft_wrap=True)


def write_audit_report(
    path: Path,
    findings: Findings,
    pairs: Sequence[Pair],
    groups: np.ndarray,
    columns: Columns,
    names: Sequence[str],
    pixels: Callable[[Sequence[int]], list[np.ndarray]],
    order: np.ndarray | None = None,
) -> None:
    """Write audit.html: the tables, a sample of pairs and the most doubtful labels as pictures.

    Args:
        path: the HTML file.
        findings: the content of audit.json.
        pairs: all pairs of duplicates.
        groups: int [n], the group of each image.
        columns: source, split and label of each image.
        names: [n], the path of each image in its source.
        pixels: decodes the images of the given numbers, uint8 [height, width] or [height, width, 3] each.
        order: int [n], the images in the order of the ranking of labels; None without one.
    """
    sections = sample_pairs(pairs, groups, columns)
    shown = sorted({image for _, chosen in sections for pair in chosen for image in (pair.a, pair.b)})
    pictures = dict(zip(shown, pixels(shown), strict=True))
    rejected = findings["rejected"]
    more = len(rejected) - _MAX_REJECTED
    write_page(
        path,
        "auditing/templates/audit.html",
        title=f"Audit of {', '.join(findings['images'])}",
        lead="; ".join(
            f"{source}: {', '.join(f'{count:,} {split}' for split, count in splits.items())}"
            for source, splits in findings["images"].items()
        ),
        findings=_sentences(findings),
        advice=advice(findings),
        tables=findings_tables(findings),
        pairs=[
            (title, [_card(pair, pictures, columns, names) for pair in chosen]) for title, chosen in sections if chosen
        ],
        labels=[] if order is None else doubtful_pictures(findings["labels"], order, pixels),
        shown=sum(len(chosen) for _, chosen in sections),
        total=len(pairs),
        rejected=Table(
            "rejected",
            "Files that are not usable images",
            ("file", "reason"),
            [(file["path"], file["reason"]) for file in rejected[:_MAX_REJECTED]],
            f"audit.json lists {more:,} more." if more > 0 else "",
        ),
    )


def sample_pairs(pairs: Sequence[Pair], groups: np.ndarray, columns: Columns) -> list[tuple[str, list[Pair]]]:
    """Return the pairs to look at by section; each pair is in one section.

    Within a section the groups take turns, so that a large group cannot fill it. The pairs of a group are drawn at
    random with a fixed seed.
    """
    drawn = [pairs[number] for number in np.random.default_rng(0).permutation(len(pairs))]
    sections: list[tuple[str, list[Pair]]] = []
    taken: set[Pair] = set()
    for title, candidates in (
        ("Conflicting labels", [p for p in drawn if columns.labels[p.a] != columns.labels[p.b]]),
        ("Across splits", [p for p in drawn if columns.splits[p.a] != columns.splits[p.b]]),
        ("Mirrored or turned", [p for p in drawn if p.mirrored]),
        ("Least similar", sorted(pairs, key=lambda p: p.similarity)),
    ):
        turns: dict[int, int] = {}
        queue = []
        for place, pair in enumerate(p for p in candidates if p not in taken):
            turn = turns[int(groups[pair.a])] = turns.get(int(groups[pair.a]), 0) + 1
            queue.append((turn, place, pair))
        chosen = [pair for _, _, pair in sorted(queue)[:_MAX_PAIRS]]
        taken.update(chosen)
        sections.append((title, chosen))
    return sections


def _card(pair: Pair, pictures: dict[int, np.ndarray], columns: Columns, names: Sequence[str]) -> dict[str, object]:
    turn = ORIENTATIONS[pair.orientation]
    return {
        "kind": pair.kind,
        "similarity": f"{pair.similarity:.3f}",
        "conflict": columns.labels[pair.a] != columns.labels[pair.b],
        "sides": [
            {
                "picture": jpeg_uri(pixels, _PICTURE),
                "name": f"{columns.sources[image]}/{names[image]}",
                "split": columns.splits[image],
                "label": columns.labels[image],
                "turn": note,
            }
            for image, pixels, note in (
                (pair.a, pictures[pair.a][turn], _TURNS[pair.orientation]),
                (pair.b, pictures[pair.b], ""),
            )
        ],
    }
