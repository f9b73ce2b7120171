"""Claim: a build of a million images needs a few GiB of memory.

python benchmarks/large_build.py [--images 1000000] [--json]

Draws that many grey images of 32 px into four class folders (random blocks with noise; a twentieth are equal to another
image, a twentieth are another one with noise), runs `fastmri-cls build-tfrecords` on them, and reports its seconds and
the peak memory of its largest process. A million takes 10 to 20 minutes and 6 GB of disk on two cores.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from fastmri_cls.foundation.environment import describe
from fastmri_cls.sources.phantom import CLASSES

SIZE = 32  # pixels
CHUNK = 10_000  # images drawn at once
EQUAL, NEAR = 0.05, 0.05  # of the images
NOISE = 3  # levels, in near duplicates


def draw(count: int, rng: np.random.Generator) -> np.ndarray:
    """Return images, uint8 [count, 32, 32]."""
    blocks = np.kron(rng.integers(0, 200, (count, 8, 8)), np.ones((SIZE // 8, SIZE // 8), int))
    pixels = blocks + rng.integers(0, 20, blocks.shape)
    kind, original = rng.random(count), rng.integers(0, count, count)
    equal, near = kind < EQUAL, (kind >= EQUAL) & (kind < EQUAL + NEAR)
    pixels[equal] = pixels[original[equal]]
    pixels[near] = pixels[original[near]] + rng.integers(0, NOISE, (near.sum(), SIZE, SIZE))
    return pixels.astype(np.uint8)


def write_images(folder: Path, count: int) -> None:
    """Draw `count` images into class folders, as PGM files, which cost nothing to encode."""
    rng = np.random.default_rng(0)
    for label in CLASSES:
        (folder / label).mkdir(parents=True)
    for start in range(0, count, CHUNK):
        for number, pixels in enumerate(draw(min(CHUNK, count - start), rng), start):
            path = folder / CLASSES[number % len(CLASSES)] / f"{number:07d}.pgm"
            path.write_bytes(f"P5\n{SIZE} {SIZE}\n255\n".encode() + pixels.tobytes())


def main() -> None:
    """Parse, draw, build, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true", help="print a JSON object as the last line")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        scans, out = Path(name) / "scans", Path(name) / "dataset"
        write_images(scans, arguments.images)
        build = ["build-tfrecords", f"drawn={scans}", "--image-size", SIZE, "--out", out]
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "fastmri_cls", *map(str, build)], check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(f"{arguments.images} images   {seconds:.0f} s   {peak:.2f} GiB")
    if arguments.json:
        row = {"name": "build", "images": arguments.images, "seconds": seconds, "peak_gib": peak}
        print(json.dumps({"rows": [row], "environment": describe()}))


if __name__ == "__main__":
    main()
