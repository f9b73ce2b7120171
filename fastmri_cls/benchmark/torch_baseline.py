"""The PyTorch baseline, in a module of its own so that its worker processes do not import TensorFlow."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import albumentations
import cv2
import torch
from torch.utils.data import DataLoader, Dataset

_SIZE, _BATCH_SIZE = 224, 32
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class _Folder(Dataset):
    def __init__(self, folder: Path) -> None:
        classes = sorted(path for path in folder.iterdir() if path.is_dir())
        self.files = [(file, label) for label, path in enumerate(classes) for file in sorted(path.iterdir())]
        self.augment = albumentations.Compose(
            [
                albumentations.Resize(_SIZE, _SIZE),
                albumentations.Affine(rotate=(-5, 5), translate_percent=(-0.05, 0.05), scale=(0.95, 1.05), p=1),
                albumentations.RandomBrightnessContrast((-0.1, 0.1), (0.5, 0.5), brightness_by_max=False, p=1),
                albumentations.Normalize(_MEAN, _STD),
            ]
        )

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        file, label = self.files[index]
        image = cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB)
        return torch.from_numpy(self.augment(image=image)["image"]), label


def open_loader(folder: Path, workers: int) -> Iterator[Any]:
    """Yield batches float32 [32, 224, 224, 3] indefinitely."""
    cv2.setNumThreads(0)  # the worker processes are the parallelism
    loader = DataLoader(
        _Folder(folder), _BATCH_SIZE, shuffle=True, num_workers=workers, drop_last=True, persistent_workers=True,
        multiprocessing_context="fork",
    )  # fmt: skip
    while True:
        yield from loader
