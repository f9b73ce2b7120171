"""Searches for duplicates with other people's software; each gets the files that a JSON list names."""

import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import combinations
from pathlib import Path

from benchmarks.peers.workloads import Workload, search_of
from fastmri_cls.foundation.cpu import available_cores

MAX_BITS = 4  # of 64, as in fastmri_cls/duplicates/pairs.py
_CHUNK = 64  # files


def imagehash_loop(listing: str, found: str, workers: int) -> Workload:
    """imagehash.phash of every file, then all pairs that differ in at most MAX_BITS bits."""
    import numpy as np

    paths = read(listing)

    def search() -> Iterator[tuple[str, str]]:
        if workers == 1:
            hashes = [_phash(path) for path in paths]
        else:
            with ProcessPoolExecutor(workers) as pool:
                hashes = list(pool.map(_phash, paths, chunksize=_CHUNK))
        keys = np.array(hashes, np.uint64)
        pairs = []
        for a, key in enumerate(keys):
            close = np.flatnonzero(np.bitwise_count(keys[a + 1 :] ^ key) <= MAX_BITS) + a + 1
            pairs += [(paths[a], paths[b]) for b in close]
        return pairs

    return search_of(search, len(paths), found)


def _phash(path: str) -> int:
    import imagehash
    from PIL import Image

    with Image.open(path) as image:
        return int(str(imagehash.phash(image)), 16)


def imagededup_phash(listing: str, found: str, folder: str) -> Workload:
    """imagededup's PHash with its own search for pairs, on a folder of links to the files."""
    from imagededup.methods import PHash

    originals = linked(read(listing), Path(folder))
    method = PHash(verbose=False)

    def search() -> list[tuple[str, str]]:
        duplicates = method.find_duplicates(
            image_dir=folder,
            max_distance_threshold=MAX_BITS,
            num_enc_workers=available_cores(),
            num_dist_workers=available_cores(),
        )
        return [(originals[a], originals[b]) for a, close in duplicates.items() for b in close]

    return search_of(search, len(originals), found)


def cleanvision_sets(listing: str, found: str, folder: str) -> Workload:
    """cleanvision's exact and near duplicates, which come as sets, on a folder of links to the files."""
    from cleanvision import Imagelab

    originals = linked(read(listing), Path(folder))

    def search() -> list[tuple[str, str]]:
        lab = Imagelab(data_path=folder, verbose=False)
        lab.find_issues({"exact_duplicates": {}, "near_duplicates": {}}, n_jobs=available_cores(), verbose=False)
        sets: Iterable[list[str]] = [
            one for kind in ("exact", "near") for one in lab.info[f"{kind}_duplicates"]["sets"]
        ]
        names = ([originals[Path(path).name] for path in one] for one in sets)
        return [pair for one in names for pair in combinations(one, 2)]

    return search_of(search, len(originals), found)


def read(listing: str) -> list[str]:
    """Return the paths in a JSON list."""
    return json.loads(Path(listing).read_text(encoding="utf-8"))


def linked(paths: list[str], folder: Path) -> dict[str, str]:
    """Link the files into one folder under new names; return {name: path}."""
    folder.mkdir()
    names = {f"{number:06d}{Path(path).suffix.lower()}": path for number, path in enumerate(paths)}
    for name, path in names.items():
        (folder / name).symlink_to(path)
    return names
