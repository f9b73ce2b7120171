"""Claim: duplicates are found faster than by software in common use, and more of them.

python benchmarks/peers/environments.py duplicates
python benchmarks/peers/duplicates.py nickparvar=archive1 bhuvaji=archive2 [--rounds 3] [--agreement] [--json FILE]

Seconds of a whole search, from files (which have been read once before) to pairs. Every image is decoded, hashed and
compared with all others:

ours            what `audit` and `build-tfrecords` do: two hashes in four orientations, then thumbnails are correlated
imagehash       phash in a loop, and in as many processes as there are cores; pairs that differ in at most 4 bits
imagededup      PHash and its own search, at most 4 bits, with as many workers
cleanvision     exact and near duplicates with its defaults, with as many jobs

Peers compare images as they are stored, so they find no mirrored or turned duplicates, and they do not look at pixels
again. `--agreement` tells what that means: recall and precision of everybody's pairs against the rule of
duplicates/pairs.py computed without shortcuts (as benchmarks/audit.py --agreement does; takes minutes). `ratio` is that
to the best peer's images per second.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from turns import WORKLOADS, Candidate, Plan, Table, measure, parser, run

from fastmri_cls.benchmark.measure import Timing
from fastmri_cls.foundation.cpu import available_cores
from fastmri_cls.sources.classes import ClassNames
from fastmri_cls.sources.folders import parse_sources
from fastmri_cls.sources.scan import scan

WHOLE_SEARCH = Timing(seconds=0, min_batches=1, warm_up=0)


def candidates(folder: Path) -> list[Candidate]:
    """Return the candidates; `folder` has files.json, and gets what they find."""
    cores = available_cores()

    def one(name: str, workload: str, what: str, package: str = "", **more: object) -> Candidate:
        arguments = {"listing": str(folder / "files.json"), "found": str(found_by(name, folder)), **more}
        if not package:
            return Candidate(name, f"{WORKLOADS}.ours:{workload}", arguments, what, kind="ours")
        return Candidate(name, f"{WORKLOADS}.searches:{workload}", arguments, what, "duplicates", (package,))

    return [
        one("ours", "search", f"{cores} workers"),
        one("imagehash", "imagehash_loop", "phash, one process", "imagehash", workers=1),
        one(f"imagehash x{cores}", "imagehash_loop", f"phash, {cores} processes", "imagehash", workers=cores),
        one("imagededup", "imagededup_phash", f"PHash, {cores} workers", "imagededup", folder=str(folder / "dedup")),
        one("cleanvision", "cleanvision_sets", f"{cores} jobs", "cleanvision", folder=str(folder / "vision")),
    ]


def found_by(name: str, folder: Path) -> Path:
    """Return the file with the pairs that a candidate has found, [[path, path], ...]."""
    return folder / f"{name}.json"


def described(table: Table, folder: Path, images: int, rule: set[tuple[str, str]] | None) -> Table:
    """Add seconds, the number of pairs and, with a rule, recall and precision to what the rows say."""
    rows = []
    for row in table.result.rows:
        pairs = {tuple(pair) for pair in json.loads(found_by(row.name, folder).read_text(encoding="utf-8"))}
        what = f"{images / row.images_per_second:.1f} s, {len(pairs)} pairs; {row.what}"
        if rule is not None:
            right = len(pairs & rule)
            what = f"recall {right / len(rule):.3f}, precision {right / max(len(pairs), 1):.3f}; {what}"
        rows.append(replace(row, what=what))
    return replace(table, result=replace(table.result, rows=tuple(rows)))


def rule_pairs(paths: list[Path]) -> set[tuple[str, str]]:
    """Return the pairs of the plain rule."""
    sys.path.append(str(Path(__file__).resolve().parents[1]))
    from audit import plain_rule_pairs

    found = plain_rule_pairs(paths)["bilinear"]
    return {(min(pair), max(pair)) for a, b in found for pair in [(str(paths[a]), str(paths[b]))]}


def main() -> None:
    """Parse, read all files once, measure, print."""
    options = parser(__doc__, rounds=3)
    options.add_argument("sources", nargs="+", metavar="[NAME=]SOURCE")
    options.add_argument("--agreement", action="store_true", help="recall and precision too")
    given = options.parse_args()
    paths = [file.path.absolute() for file in scan(parse_sources(given.sources), ClassNames()).files]

    def tables() -> Iterator[Table]:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "files.json").write_text(json.dumps([str(path) for path in paths]), encoding="utf-8")
            rule = rule_pairs(paths) if given.agreement else None
            for path in paths:
                path.read_bytes()
            table = measure(f"Duplicates: {len(paths)} files", candidates(folder), Plan(given.rounds, WHOLE_SEARCH, 0))
            yield described(table, folder, len(paths), rule)

    run(tables(), given.json)


if __name__ == "__main__":
    main()
