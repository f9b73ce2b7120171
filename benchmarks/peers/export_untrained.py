"""Writes an untrained classifier in the formats that inference.py compares, and images beside them.

python benchmarks/peers/export_untrained.py MODEL IMAGE_SIZE IMAGES FOLDER
    the new FOLDER gets FILES, and images.npy, random images uint8 [IMAGES, size, size, 1]

A process of its own, whose memory is given back before anything is measured.
"""

import sys
from pathlib import Path

FILES = ("model.keras", "model.onnx", "model.tflite", "dynamic/model.tflite")


def main() -> None:
    """Export as `fastmri-cls export` does."""
    import numpy as np

    from fastmri_cls.foundation.quiet import import_tensorflow

    model, size, images, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    import_tensorflow()
    from fastmri_cls.export.litert import write_litert, write_litert_dynamic
    from fastmri_cls.export.onnx import write_onnx
    from fastmri_cls.models.head import ClassifierOptions, build_classifier
    from fastmri_cls.models.registry import find_model

    untrained = build_classifier(find_model(model), ClassifierOptions(4, size, 1), fast=False).model
    (folder / "dynamic").mkdir(parents=True)
    untrained.save(folder / "model.keras")
    write_onnx(untrained, ("a", "b", "c", "d"), folder)
    write_litert(untrained, folder)
    write_litert_dynamic(untrained, folder / "dynamic")
    pixels = np.random.default_rng(0).integers(0, 256, (images, size, size, 1), np.uint8)
    for beside in (folder, folder / "dynamic"):
        np.save(beside / "images.npy", pixels)


if __name__ == "__main__":
    main()
