"""What the study this package started from printed (arXiv 2511.18326), on its 1705 test images; AUC as a share of 1."""

from typing import NamedTuple


class Published(NamedTuple):
    """Accuracy and AUC of the paper's table, and the seconds an epoch of phase 1 in its notebooks' logs (on a CPU)."""

    accuracy: float
    auc: float
    seconds_per_epoch: float


PUBLISHED = {
    "convnext-tiny": Published(0.9261, 0.985, 1420),
    "efficientnetv2s": Published(0.8504, 0.96, 357),
    "densenet121-radimagenet": Published(0.6762, 0.88, 375),
}
