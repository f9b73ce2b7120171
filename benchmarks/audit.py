"""What `fastmri-cls audit` costs, and how right it is.

python benchmarks/audit.py nickparvar=DIR bhuvaji=DIR --json
    seconds of an audit of 1 000, 5 000 and all images, of the search for duplicates alone, and of a scan of all pairs
    of hashes beside it (the baseline); benchmarks/scale.py goes to a million synthetic images
python benchmarks/audit.py nickparvar=DIR bhuvaji=DIR --agreement --json
    recall and precision of the pairs against the rule it approximates, computed without any of its shortcuts
python benchmarks/audit.py nickparvar=DIR bhuvaji=DIR --contact-sheet FILE.jpg
    random near pairs side by side, for the eye: a, as turned, b, and twice their difference
"""

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from fastmri_cls.duplicates.groups import connected_groups
from fastmri_cls.duplicates.hashing import ORIENTATIONS
from fastmri_cls.duplicates.pairs import MAX_BITS, MIN_CORRELATION, Duplicates, Pair, find_duplicates
from fastmri_cls.foundation.cpu import available_cores
from fastmri_cls.foundation.environment import describe
from fastmri_cls.foundation.progress import show_log
from fastmri_cls.records.catalogue import Catalogue, collect
from fastmri_cls.records.ingest import ingest
from fastmri_cls.sources.classes import ClassNames
from fastmri_cls.sources.decode import decode
from fastmri_cls.sources.folders import SourceFile, parse_sources
from fastmri_cls.sources.scan import scan

SIZES = (1_000, 5_000)  # and all
BASELINE = "all-pairs"
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC,
           "lanczos": Image.Resampling.LANCZOS}  # fmt: skip
WORKERS = available_cores()


def measure_speed(files: Sequence[SourceFile]) -> list[dict[str, Any]]:
    """Time audits of growing random subsets, then the scan of all pairs."""
    order = np.random.default_rng(0).permutation(len(files))
    rows = []
    for count in (*(size for size in SIZES if size < len(files)), len(files)):
        chosen = [files[number] for number in sorted(order[:count])]
        started = time.perf_counter()
        catalogue = collect(ingest(chosen, None, WORKERS))
        read = time.perf_counter() - started
        pairs = find_duplicates(catalogue.fingerprints).pairs
        rows += [
            {"name": f"read-{count}", "images": count, "seconds": read},
            {"name": f"search-{count}", "images": count, "seconds": time.perf_counter() - started - read},
            {"name": f"audit-{count}", "images": count, "seconds": time.perf_counter() - started, "pairs": len(pairs)},
        ]
    keys = catalogue.fingerprints.hashes
    started = time.perf_counter()
    for _ in scan_all(keys):
        pass
    baseline = time.perf_counter() - started
    rows.append({"name": BASELINE, "images": len(keys), "seconds": baseline})
    return [row | {"ratio": row["seconds"] / baseline} for row in rows]


def all_pairs(duplicates: Duplicates) -> set[tuple[int, int]]:
    """Return every pair a < b of duplicates: a listed pair stands for the images that are equal to its two."""
    equal: dict[int, list[int]] = defaultdict(list)
    for image, first in enumerate(duplicates.representatives.tolist()):
        equal[first].append(image)
    pairs = {pair for images in equal.values() for pair in combinations(images, 2)}
    for near in (pair for pair in duplicates.pairs if pair.kind == "near"):
        pairs |= {(min(a, b), max(a, b)) for a, b in product(equal[near.a], equal[near.b])}
    return pairs


def scan_all(keys: np.ndarray, block: int = 256) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield (orientation, a, b): the pairs a < b whose hashes differ in at most MAX_BITS each; all are compared."""
    for number in range(len(ORIENTATIONS)):
        for start in range(0, len(keys), block):
            difference = np.bitwise_count(keys[start : start + block, None, number] ^ keys[None, :, 0])
            a, b = np.nonzero((difference <= MAX_BITS).all(axis=2))
            later = a + start < b
            yield number, a[later] + start, b[later]


def measure_agreement(files: Sequence[SourceFile], catalogue: Catalogue) -> list[dict[str, Any]]:
    """Compare the pairs found with those of the plain rule, for each filter a plain resize may use."""
    duplicates = find_duplicates(catalogue.fingerprints)
    found = all_pairs(duplicates)
    groups = connected_groups(len(catalogue), duplicates.pairs)
    rows = []
    for name, expected in plain_rule_pairs([file.path for file in catalogue.files]).items():
        plain = connected_groups(len(catalogue), [Pair(a, b, "near", "id", 1.0) for a, b in expected])
        rows.append({
            "name": f"plain-rule-{name}",
            "pairs": len(expected),
            "found": len(found),
            "recall": len(found & expected) / len(expected),
            "precision": len(found & expected) / len(found),
            "groups": len(np.unique(groups)),
            "plain_groups": len(np.unique(plain)),
        })  # fmt: skip
    return rows


def plain_rule_pairs(paths: Sequence[Path]) -> dict[str, set[tuple[int, int]]]:
    """Return the pairs a < b that the first rule of duplicates/pairs.py gives, by the filter of the thumbnails.

    Nothing is shared with the audit: every image is turned and hashed as a whole, and all pairs are compared.
    """
    with ProcessPoolExecutor(WORKERS) as pool:
        images = list(pool.map(_plain_hashes, paths, chunksize=32))
    keys = np.array([hashes for hashes, _ in images], dtype=np.uint64)
    found: dict[str, set[tuple[int, int]]] = {name: set() for name in FILTERS}
    for number, a, b in scan_all(keys):
        turn = list(ORIENTATIONS.values())[number]
        for place, name in enumerate(FILTERS):
            for start in range(0, len(a), 512):
                first, second = a[start : start + 512], b[start : start + 512]
                turned = np.stack([images[image][1][place][turn].ravel() for image in first])
                stored = np.stack([images[image][1][place].ravel() for image in second])
                alike = _correlations(turned, stored) >= MIN_CORRELATION
                found[name].update(zip(first[alike].tolist(), second[alike].tolist(), strict=True))
    return found


def _correlations(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return Pearson's correlation of each row of `a` with that of `b`; 0 if one is constant."""
    x, y = (rows - rows.mean(axis=1, keepdims=True, dtype=np.float32) for rows in (a, b))
    norm = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    return (x * y).sum(axis=1) / np.where(norm > 0, norm, 1)


def _plain_hashes(path: Path) -> tuple[list[list[int]], list[np.ndarray]]:
    import imagehash  # of the extra dev; what other benchmarks take from here does not need it

    image = Image.open(path).convert("L")
    turned = (image, image.transpose(0), image.transpose(1), image.transpose(3))
    hashes = [[int(str(imagehash.phash(one)), 16), int(str(imagehash.dhash(one)), 16)] for one in turned]
    return hashes, [np.asarray(image.resize((64, 64), resampling)) for resampling in FILTERS.values()]


def draw_contact_sheet(
    path: Path, catalogue: Catalogue, count: int, seed: int, size: int = 112, columns: int = 5
) -> None:
    """Write a picture of `count` random near pairs, numbered; the pairs' files go to a text file beside it."""
    pairs = [pair for pair in find_duplicates(catalogue.fingerprints).pairs if pair.kind == "near"]
    chosen = np.random.default_rng(seed).choice(len(pairs), min(count, len(pairs)), replace=False)
    width, height = 3 * size + 10, size + 14
    sheet = Image.new("L", (columns * width, -(-len(chosen) // columns) * height), 255)
    pen = ImageDraw.Draw(sheet)
    lines = []
    for place, pair in enumerate(pairs[number] for number in chosen):
        x, y = place % columns * width, place // columns * height
        sides = [
            decode(catalogue.files[pair.a].path)[ORIENTATIONS[pair.orientation]],
            decode(catalogue.files[pair.b].path),
        ]
        a, b = (Image.fromarray(side).convert("L").resize((size, size)) for side in sides)
        difference = ImageChops.difference(a, b).point(lambda level: min(255, 2 * level))
        for column, picture in enumerate((a, b, difference)):
            sheet.paste(picture, (x + column * size, y + 12))
        pen.text((x, y), f"{place} {pair.orientation} {pair.similarity:.3f}", fill=0)
        names = [f"{catalogue.files[i].source}/{catalogue.files[i].filename}" for i in (pair.a, pair.b)]
        lines.append(f"{place}\t{pair.orientation}\t{pair.similarity:.4f}\t" + "\t".join(names))
    sheet.save(path, quality=70)
    path.with_suffix(".txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="+", metavar="[NAME=]SOURCE")
    parser.add_argument("--agreement", action="store_true")
    parser.add_argument("--contact-sheet", type=Path, metavar="FILE")
    parser.add_argument("--pairs", type=int, default=60, help="on the contact sheet")
    parser.add_argument("--seed", type=int, default=0, help="of the contact sheet's draw")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    options = parser.parse_args()
    show_log()
    files = scan(parse_sources(options.sources), ClassNames()).files
    if options.contact_sheet:
        catalogue = collect(ingest(files, None, WORKERS))
        draw_contact_sheet(options.contact_sheet, catalogue, options.pairs, options.seed)
        return
    rows = (
        measure_agreement(files, collect(ingest(files, None, WORKERS))) if options.agreement else measure_speed(files)
    )
    environment = describe()
    print(f"{environment['processor']}, {environment['cores']} cores, {WORKERS} workers")
    for row in rows:
        print(
            "  ".join(
                f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in row.items()
            )
        )
    if options.json:
        baseline = None if options.agreement else BASELINE
        print(json.dumps({"rows": rows, "baseline": baseline, "environment": environment}))


if __name__ == "__main__":
    main()
