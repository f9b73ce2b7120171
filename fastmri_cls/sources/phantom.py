"""Phantom brain slices for the demo and the tests: drawn, not recorded, so they can go anywhere.

A slice has a skull, tissue, ventricles, noise and, by its class, a lesion of its own place and look: a glioma ragged
and uneven inside a hemisphere, a meningioma round and bright at the skull, a pituitary tumour small, low in the middle.
"""

from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

CLASSES = ("glioma", "meningioma", "notumor", "pituitary")

_SIZES = {"alpha": 160, "beta": 200}  # pixels: sources differ, as real ones do
_MIRRORED_COPIES = 4


def draw_phantom(
    label: str, rng: np.random.Generator, size: int, *, visibility: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Draw one slice of class `label`.

    Args:
        visibility: contrast of the lesion, 0 (cannot be seen) to 1.

    Returns:
        The image, uint8 [size, size], and where its lesion is, bool [size, size].
    """
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    tilt = rng.uniform(-0.12, 0.12)
    x, y = x * np.cos(tilt) - y * np.sin(tilt) + rng.uniform(-0.05, 0.05), x * np.sin(tilt) + y * np.cos(tilt)
    wide, high = rng.uniform(0.66, 0.74), rng.uniform(0.82, 0.9)
    head = np.hypot(x / wide, y / high)
    brain = head < 0.9

    texture = gaussian_filter(rng.standard_normal((size, size)), size / 40) * size / 40
    image = np.where(brain, 0.42 + 0.05 * texture, 0.0)
    image[(head >= 0.93) & (head < 1.0)] = rng.uniform(0.75, 0.9)
    for side in (-1, 1):
        ventricle = np.hypot((x - side * 0.12) / rng.uniform(0.06, 0.09), (y + 0.02) / rng.uniform(0.2, 0.28)) < 1
        image[ventricle & brain] = 0.16

    lesion = _lesion(label, rng, x, y, head, texture) & brain
    brightness = {"glioma": 0.68 + 0.14 * texture, "meningioma": 0.92, "pituitary": 0.85}.get(label, 0.0)
    image = np.where(lesion, (1 - visibility) * image + visibility * brightness, image)
    image = gaussian_filter(image, size / 200) + rng.normal(0, 0.025, image.shape)
    return np.clip(image * 255, 0, 255).astype(np.uint8), lesion


def _lesion(
    label: str, rng: np.random.Generator, x: np.ndarray, y: np.ndarray, head: np.ndarray, texture: np.ndarray
) -> np.ndarray:
    side = rng.choice((-1.0, 1.0))
    if label == "glioma":
        centre = side * rng.uniform(0.3, 0.38), rng.uniform(-0.35, 0.35)
        return np.hypot(x - centre[0], y - centre[1]) + 0.09 * texture < rng.uniform(0.15, 0.24)
    if label == "meningioma":
        angle = rng.uniform(-2.4, -0.7)  # over the convexity, not at the base
        at_skull = 0.62 * np.cos(angle), 0.74 * np.sin(angle)
        return np.hypot(x - at_skull[0], y - at_skull[1]) < rng.uniform(0.13, 0.2)
    if label == "pituitary":
        return np.hypot(x - rng.uniform(-0.03, 0.03), (y - rng.uniform(0.5, 0.56)) * 1.2) < rng.uniform(0.09, 0.13)
    return np.zeros(head.shape, dtype=bool)


def write_phantom_sources(
    folder: Path, training: int, testing: int, *, faint: float = 0.0, seed: int = 0
) -> dict[str, Path]:
    """Write two sources in the public sets' two layouts, with some bad files and mirrored copies among them.

    Args:
        training, testing: images of each class in each source.
        faint: fraction of the slices whose lesion has between 0 and 40 % of its contrast, so that a model makes errors.
        seed: of the drawing.

    Returns:
        The folders by name: `alpha` (PNG, folders `glioma`) and `beta` (RGB JPEG, folders `glioma_tumor`, `no_tumor`).
    """
    for name, size in _SIZES.items():
        for split, count in (("Training", training), ("Testing", testing)):
            for number, label in enumerate(CLASSES):
                place = folder / name / split / (label if name == "alpha" else _folder_of_beta(label))
                place.mkdir(parents=True)
                rng = np.random.default_rng((seed, size, len(split), number))
                for index in range(count):
                    visibility = rng.uniform(0, 0.4) if faint and rng.random() < faint else 1.0
                    _save(draw_phantom(label, rng, size, visibility=visibility)[0], place / f"{index:04d}", name)
    _add_mirrored_copies(folder, testing)
    _add_bad_files(folder)
    return {name: folder / name for name in _SIZES}


def _folder_of_beta(label: str) -> str:
    return "no_tumor" if label == "notumor" else f"{label}_tumor"


def _save(pixels: np.ndarray, path: Path, source: str) -> None:
    if source == "alpha":
        Image.fromarray(pixels).save(path.with_suffix(".png"))
    else:
        Image.fromarray(pixels).convert("RGB").save(path.with_suffix(".jpg"), quality=95)


def _add_mirrored_copies(folder: Path, testing: int) -> None:
    """Let beta's tests repeat some of alpha's training slices, mirrored and at another size, as the public sets do."""
    for index in range(min(_MIRRORED_COPIES, testing)):
        with Image.open(folder / "alpha" / "Training" / "glioma" / f"{index:04d}.png") as image:
            mirrored = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).resize((_SIZES["beta"],) * 2)
        _save(np.asarray(mirrored), folder / "beta" / "Testing" / "glioma_tumor" / f"copy-{index}", "beta")


def _add_bad_files(folder: Path) -> None:
    whole = (folder / "beta" / "Training" / "glioma_tumor" / "0000.jpg").read_bytes()
    (folder / "beta" / "Training" / "glioma_tumor" / "cut off.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "beta" / "Training" / "no_tumor" / "empty.jpg").write_bytes(b"")
    (folder / "alpha" / "Training" / "pituitary" / "notes.png").write_text("not an image\n", encoding="utf-8")
    (folder / "alpha" / "Training" / "Thumbs.db").write_bytes(b"\0" * 32)
