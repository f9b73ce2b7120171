"""Claim: batches of augmented images come faster than from the input pipelines that others are proud of.

python benchmarks/peers/environments.py torch ffcv dali
python benchmarks/peers/input.py --source archive2/Training [--rounds 3] [--seconds 3] [--json FILE]

Images per second of batches float32 [32, 224, 224, 3] from the images of a folder of class folders, all at 224 px when
the clock starts: every candidate has its images in the format that it is made for. Each opens anew in every round and
delivers 12 batches before its clock starts. `fastmri-cls benchmark input` compares with what starts from the original
files.

ours            `train --cache none` on raw shards and on JPEG shards, and `--cache ram`; rotation, shift, shear, zoom,
                brightness, contrast about the mean, normalisation
grain           pixels in a mapped file; the same by cv2, image by image, in worker processes
webdataset      JPEG in tar files; the same by cv2, image by image, in PyTorch's worker processes
albumentations  JPEG files; PyTorch's DataLoader; the same without contrast about the mean
DALI            JPEG files; the same by its own operators, on the CPU
FFCV            raw pixels in its own format; the same as one operation of our writing that it compiles, and its own
                operations: shift, brightness, contrast, normalisation, without rotation and zoom, which it lacks

`ratio` is that to the best peer.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from turns import WORKLOADS, Candidate, Plan, Table, measure, parser, run

from fastmri_cls.benchmark.measure import Timing
from fastmri_cls.foundation.quiet import import_tensorflow
from fastmri_cls.records.ingest import encode_image

CV2 = "augmented by cv2"


@contextmanager
def prepared(source: Path) -> Iterator[tuple[dict[str, Path], Path]]:
    """Yield datasets by their encoding, and a folder with the same images for the peers, see workloads/inputs.py."""
    import_tensorflow()
    from fastmri_cls.benchmark.inputs import prepare

    with prepare(source, "raw") as raw, prepare(source, "jpeg") as jpeg, tempfile.TemporaryDirectory() as name:
        folder, dataset = Path(name), raw.dataset
        images = dataset.images("train", range(dataset.count("train")))[..., 0]
        facts = dataset.facts("train")
        np.save(folder / "images.npy", images)
        np.save(folder / "labels.npy", facts.labels)
        for number, (image, label) in enumerate(zip(images, facts.class_names, strict=True)):
            file = folder / "files" / label / f"{number:06d}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(encode_image(image, "jpeg"))
        yield {"raw": dataset.path, "jpeg": jpeg.dataset.path}, folder


def candidates(datasets: dict[str, Path], folder: Path) -> list[Candidate]:
    """Return the candidates; each peer gets a folder of its own with links to the images."""

    def ours(encoding: str, cache: str, what: str) -> Candidate:
        arguments = {"dataset": str(datasets[encoding]), "cache": cache}
        return Candidate(f"ours {cache} {encoding}", f"{WORKLOADS}.ours:tier", arguments, what, kind="ours")

    def peer(name: str, what: str, environment: str, *packages: str, **more: object) -> Candidate:
        own = folder / name
        own.mkdir()
        for each in ("images.npy", "labels.npy", "files"):
            (own / each).symlink_to(folder / each)
        workload = f"{WORKLOADS}.inputs:{name.partition(' ')[0]}"
        return Candidate(name, workload, {"folder": str(own), **more}, what, environment, packages)

    return [
        ours("raw", "none", "streamed from raw shards"),
        ours("jpeg", "none", "streamed from JPEG shards"),
        ours("raw", "ram", "decoded once into memory"),
        peer("ffcv", "raw pixels, augmented by an operation of our writing", "ffcv", "ffcv", "numba", own=False),
        peer("ffcv own", "raw pixels; no rotation, no zoom", "ffcv", "ffcv", own=True),
        peer("grain", f"raw grey pixels, {CV2}", "torch", "grain"),
        peer("webdataset", f"JPEG in tar files, {CV2}", "torch", "webdataset"),
        peer("dali", "JPEG files, augmented by its own operators", "dali", "nvidia-dali-cuda120"),
        peer("albumentations", "JPEG files, PyTorch's DataLoader", "torch", "torch", "albumentations"),
    ]


def main() -> None:
    """Parse, prepare, measure, print."""
    options = parser(__doc__, rounds=3)
    options.add_argument("--source", type=Path, required=True, help="a folder of class folders, or one with Training")
    options.add_argument("--seconds", type=float, default=3.0, help="a candidate and round; default: 3")
    given = options.parse_args()

    def tables() -> Iterator[Table]:
        with prepared(given.source) as (datasets, folder):
            count = len(np.load(folder / "labels.npy"))
            title = f"Input: {count} images, 224 px, batch 32, augmented and normalised float32 RGB"
            plan = Plan(given.rounds, Timing(seconds=given.seconds), trial=1)
            yield measure(title, candidates(datasets, folder), plan)

    run(tables(), given.json)


if __name__ == "__main__":
    main()
