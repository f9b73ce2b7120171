"""Claim: the search for duplicates goes to a million images in minutes, on two cores, and misses no planted duplicate.

python benchmarks/scale.py [--sizes 10000,100000,1000000] [--json]

The fingerprints are synthetic. A tenth of the images are equal to another one. A twentieth are near duplicates of
another one: turned at random, with up to 4 bits changed in each hash, and noise in the thumbnail. The bits of the
hashes are as uneven and as dependent as those of the two public sets: their frequencies follow the quantiles measured
there, and neighbouring bits are correlated so that as many pairs of different images share a bucket of the index (3.5
of 100 000 pairs; there 1.4 to 6.2, by orientation). Only the search is timed; each size runs in a process of its own,
whose peak memory is given. `exponent` is the slope of log(processor seconds) over log(images) from the size before.
"""

import argparse
import json
import math
import multiprocessing
import resource
import time
from typing import Any

import numpy as np
from scipy.special import ndtri

from fastmri_cls.duplicates.fingerprints import Fingerprints
from fastmri_cls.duplicates.hashing import ORIENTATIONS, THUMBNAIL, Fingerprint
from fastmri_cls.duplicates.pairs import MAX_BITS, find_duplicates
from fastmri_cls.foundation.environment import describe

SIZES = (10_000, 100_000, 1_000_000)
EQUAL, NEAR = 0.10, 0.05  # of the images
NOISE = 2  # levels, in the thumbnails of near duplicates
# Quantiles of how often a bit is set in the 9466 distinct images of the two public sets: pHash, dHash.
QUANTILES = (0, 0.1, 0.2, 0.8, 0.9, 1)
FREQUENCIES = ((0, 0.37, 0.48, 0.52, 0.65, 1), (0.05, 0.17, 0.25, 0.71, 0.81, 0.95))
DEPENDENCE = 0.7  # correlation of the normal variables behind neighbouring bits
CHUNK = 20_000  # images made at once


def make_fingerprints(count: int, seed: int = 0) -> tuple[Fingerprints, np.ndarray]:
    """Return `count` fingerprints, and the planted near duplicates as int [pairs, 3]: image, image, orientation."""
    rng = np.random.default_rng(seed)
    equal, near = int(EQUAL * count), int(NEAR * count)
    kinds = rng.permutation(np.repeat([0, 1, 2], [count - equal - near, equal, near]))
    originals = np.flatnonzero(kinds == 0)
    source = np.arange(count)
    source[kinds > 0] = rng.choice(originals, equal + near)
    turns = np.where(kinds == 2, rng.integers(0, len(ORIENTATIONS), count), 0)

    hashes = np.empty((count, len(ORIENTATIONS), 2), np.uint64)
    hashes[originals] = make_hashes(len(originals), rng)
    # Turning an image swaps its orientations; their order makes that an exclusive or of their places.
    places = np.arange(len(ORIENTATIONS)) ^ turns[:, None]
    hashes = np.take_along_axis(hashes[source], places[:, :, None], axis=1)
    hashes[kinds == 2] ^= flipped_bits((near, *hashes.shape[1:]), rng)

    fingerprints = Fingerprints()
    for index in range(count):
        own = np.random.default_rng((seed, source[index]))
        thumbnail = own.integers(NOISE, 256 - NOISE, (THUMBNAIL, THUMBNAIL), np.uint8)
        digest = source[index]
        if kinds[index] == 2:
            thumbnail = thumbnail[list(ORIENTATIONS.values())[turns[index]]]
            noise = np.random.default_rng((seed, index, 1)).integers(-NOISE, NOISE + 1, thumbnail.shape)
            thumbnail = (thumbnail + noise).astype(np.uint8)
            digest = index
        fingerprints.append(Fingerprint(f"{digest:064x}", *hashes[index].T, thumbnail))
    planted = np.flatnonzero(kinds == 2)
    return fingerprints, np.stack([source[planted], planted, turns[planted]], axis=1)


def make_hashes(count: int, rng: np.random.Generator) -> np.ndarray:
    """Return uint64 [count, 4, 2]: uneven, dependent bits; orientations are independent of each other."""
    hashes = np.empty((count, len(ORIENTATIONS), 2), np.uint64)
    for place, frequencies in enumerate(FREQUENCIES):
        chances = np.interp(np.linspace(0, 1, 64), QUANTILES, frequencies)
        thresholds = ndtri(np.random.default_rng(place).permutation(chances)).astype(np.float32)
        for orientation in range(len(ORIENTATIONS)):
            for start in range(0, count, CHUNK):
                part = hashes[start : start + CHUNK, orientation, place]
                normal = rng.standard_normal((len(part), 64), np.float32)
                for bit in range(1, 64):
                    normal[:, bit] = DEPENDENCE * normal[:, bit - 1] + (1 - DEPENDENCE**2) ** 0.5 * normal[:, bit]
                part[:] = np.packbits(normal < thresholds, axis=1).view(">u8")[:, 0]
    return hashes


def flipped_bits(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Return uint64 of `shape` with up to MAX_BITS bits set in each."""
    bits = np.zeros(shape, np.uint64)
    for chance in range(MAX_BITS):
        chosen = rng.integers(0, 64, shape, np.uint64)
        bits |= np.where(rng.random(shape) < 1 - chance / (MAX_BITS + 1), np.uint64(1) << chosen, np.uint64(0))
    return bits


def measure(count: int, results: Any) -> None:
    """Search `count` fingerprints; put the row into the queue `results`."""
    fingerprints, planted = make_fingerprints(count)
    started, processor = time.perf_counter(), time.process_time()
    found = find_duplicates(fingerprints)
    seconds, processor = time.perf_counter() - started, time.process_time() - processor
    pairs = {(pair.a, pair.b): pair.orientation for pair in found.pairs if pair.kind == "near"}
    first = found.representatives
    hits = 0
    for original, copy, turn in planted.tolist():
        ends = sorted((int(first[original]), int(first[copy])))
        hits += pairs.get((ends[0], ends[1])) == list(ORIENTATIONS)[turn]
    equal = sum(pair.kind == "exact" for pair in found.pairs)
    results.put({
        "name": f"search-{count}", "images": count, "seconds": seconds, "processor_seconds": processor,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "recall": hits / len(planted), "equal": equal, "near": len(pairs), "crowded": found.crowded, "cut": found.cut,
    })  # fmt: skip


def slope(before: dict[str, Any], row: dict[str, Any]) -> float:
    """Return the exponent of the growth of processor time from one size to the next."""
    return math.log(row["processor_seconds"] / before["processor_seconds"]) / math.log(row["images"] / before["images"])


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="numbers of images, ascending")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    rows: list[dict[str, Any]] = []
    for count in map(int, options.sizes.split(",")):
        results: Any = context.SimpleQueue()
        child = context.Process(target=measure, args=(count, results))
        child.start()
        row = results.get()
        child.join()
        row["ratio"] = row["seconds"] / rows[0]["seconds"] if rows else 1.0
        row["exponent"] = slope(rows[-1], row) if rows else None
        rows.append(row)
        print("  ".join(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
                        for name, value in row.items()), flush=True)  # fmt: skip
    if options.json:
        print(json.dumps({"rows": rows, "baseline": rows[0]["name"], "environment": describe()}))


if __name__ == "__main__":
    main()
