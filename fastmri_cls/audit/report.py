"""What an audit found, for people: tables in the terminal, and audit.html with pairs side by side (works offline)."""

import base64
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from fastmri_cls.audit.leakage import KINDS, Columns
from fastmri_cls.duplicates.hashing import ORIENTATIONS
from fastmri_cls.duplicates.pairs import Pair, bound_notes
from fastmri_cls.foundation.atomic import write_text
from fastmri_cls.report.html import TEMPLATES

_PAIRS_A_SECTION = 24  # of four sections: 96 pairs are about 1 MB
_PICTURE = 192  # pixels of the longer side
_TURNS = {"id": "", "hflip": "mirrored left to right", "vflip": "mirrored top to bottom", "rot180": "turned by 180°"}


class FindingsTable(NamedTuple):
    """One table of an audit: its title, a remark, the header and rows of text."""

    title: str
    remark: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]


def findings_tables(findings: dict[str, Any]) -> list[FindingsTable]:
    """Return the tables of an audit.json, those that have rows."""
    places = ("pairs", "within_split", "across_splits", "across_sources", "conflicting")
    classes = [place.removeprefix("class ") for place in findings["pairs"]["all"] if place.startswith("class ")]
    accuracies = findings["baselines"]
    baselines = list(next(iter(accuracies.values()), {}))
    tables = [
        FindingsTable(
            "Pairs of duplicates",
            "exact: pixels equal to those of an earlier image; upright: re-encoded or resized; "
            "mirrored: alike after a flip or a half turn",
            ("", "pairs", "within a split", "across splits", "across sources", "conflicting labels"),
            [(kind, *(f"{counts[place]:,}" for place in places)) for kind, counts in findings["pairs"].items()],
        ),
        FindingsTable(
            "Pairs of copies by class",
            "both of the class",
            ("", *KINDS, "all"),
            [
                (name, *(f"{findings['pairs'][kind][f'class {name}']:,}" for kind in (*KINDS, "all")))
                for name in classes
            ],
        ),
        FindingsTable(
            "Test images with a copy in training",
            "each counts once, by its best copy; linked: by a chain of copies only",
            ("test set", "training of", "images", *KINDS, "linked", "clean"),
            [
                (source, scope, f"{leaks['images']:,}", *(f"{count:,}" for count in leaks[key].values()))
                for source, leaks in findings["test_sets"].items()
                for key, scope in (("own", source), ("any", "any source"))
            ],
        ),
        FindingsTable(
            "Clean test images by class",
            "no copy in any source's training, of all",
            ("test set", *classes),
            [
                (source, *(f"{leaks['clean_per_class'][c]:,} of {leaks['per_class'][c]:,}" for c in classes))
                for source, leaks in findings["test_sets"].items()
            ],
        ),
        FindingsTable(
            "Accuracy without learning",
            "trained on all training images; what copies and file properties alone give",
            ("test set", *baselines),
            [(name, *(f"{found[baseline]:.3f}" for baseline in baselines)) for name, found in accuracies.items()],
        ),
    ]
    return [table for table in tables if table.rows]


def groups_sentence(findings: dict[str, Any]) -> str:
    """Return what the groups of an audit.json are, in one sentence."""
    groups = findings["groups"]
    images = sum(sum(splits.values()) for splits in findings["images"].values())
    return (
        f"{images:,} images are {groups['independent']:,} independent groups; {groups['of_copies']:,} of them hold "
        f"copies ({groups['images_in_them']:,} images, at most {groups['largest']} in one), "
        f"{groups['across_splits']:,} reach across splits, {groups['across_sources']:,} across sources, "
        f"and {groups['conflicting']} ({groups['images_in_conflict']} images) have conflicting labels."
    )


def print_audit(findings: dict[str, Any], directory: Path) -> None:
    """Print the tables of an audit.json, then what was rejected."""
    out = Console(highlight=False)
    out.print(groups_sentence(findings))
    for note in bound_notes(findings["search"]["crowded"], findings["search"]["cut"]):
        out.print(note)
    for found in findings_tables(findings):
        table = Table(
            found.header[0], title=f"{found.title} [dim]({found.remark})[/dim]", title_justify="left", box=None,
            header_style="bold", pad_edge=False, title_style="bold",
        )  # fmt: skip
        for name in found.header[1:]:
            table.add_column(name, justify="right")
        for row in found.rows:
            table.add_row(*row)
        out.print()
        out.print(table)
    out.print()
    if findings["rejected"]:
        first = findings["rejected"][0]
        counted = f"rejected: {len(findings['rejected'])} files, listed in audit.json"
        out.print(f"{counted} (the first: {first['path']}: {first['reason']})", markup=False)
    out.print(f"audit: {directory}", markup=False)


def write_audit_report(
    path: Path,
    findings: dict[str, Any],
    pairs: Sequence[Pair],
    groups: np.ndarray,
    columns: Columns,
    names: Sequence[str],
    pixels: Callable[[Sequence[int]], list[np.ndarray]],
) -> None:
    """Write audit.html: the tables, and a sample of pairs as pictures.

    Args:
        names: [n], the images' paths. pixels: decodes the images of the given numbers, uint8.
    """
    sections = sample_pairs(pairs, groups, columns)
    shown = sorted({image for _, chosen in sections for pair in chosen for image in (pair.a, pair.b)})
    pictures = dict(zip(shown, pixels(shown), strict=True))
    html = TEMPLATES.get_template("audit.html").render(
        sentence=groups_sentence(findings),
        notes=bound_notes(findings["search"]["crowded"], findings["search"]["cut"]),
        tables=findings_tables(findings),
        sections=[
            (title, [_card(pair, pictures, columns, names) for pair in chosen]) for title, chosen in sections if chosen
        ],
        shown=sum(len(chosen) for _, chosen in sections),
        total=len(pairs),
        rejected=findings["rejected"],
    )
    write_text(path, html)


def sample_pairs(pairs: Sequence[Pair], groups: np.ndarray, columns: Columns) -> list[tuple[str, list[Pair]]]:
    """Return the pairs to look at, under the heading of what makes them worth it; each of them once.

    Within a section groups take turns, so that one large group cannot fill it; which pairs stand for a group is drawn.
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
        chosen = [pair for _, _, pair in sorted(queue)[:_PAIRS_A_SECTION]]
        taken.update(chosen)
        sections.append((title, chosen))
    return sections


def _card(pair: Pair, pictures: dict[int, np.ndarray], columns: Columns, names: Sequence[str]) -> dict[str, Any]:
    turn = ORIENTATIONS[pair.orientation]
    return {
        "kind": pair.kind,
        "similarity": f"{pair.similarity:.3f}",
        "conflict": columns.labels[pair.a] != columns.labels[pair.b],
        "sides": [
            {
                "picture": _data_uri(pixels),
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


def _data_uri(pixels: np.ndarray) -> str:
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    picture.thumbnail((_PICTURE, _PICTURE))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
