"""The numbers of the paper this package started from: arXiv 2511.18326, on its 1705 test images."""

from typing import NamedTuple


class PaperResult(NamedTuple):
    """One row of the paper's table.

    Attributes:
        accuracy: 0 to 1.
        auc: macro AUC, 0 to 1.
        seconds_per_epoch: of phase 1 on a CPU, in the logs of the paper's notebooks.
    """

    accuracy: float
    auc: float
    seconds_per_epoch: float


PAPER = {
    "convnext-tiny": PaperResult(0.9261, 0.985, 1420),
    "efficientnetv2s": PaperResult(0.8504, 0.96, 357),
    "densenet121-radimagenet": PaperResult(0.6762, 0.88, 375),
}
