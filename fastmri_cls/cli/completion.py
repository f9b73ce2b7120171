"""What the shell completes besides commands and flags: names of models, optimizers and augmentation policies."""

from collections.abc import Sequence

from fastmri_cls.augment.names import POLICIES
from fastmri_cls.models.names import BACKBONES
from fastmri_cls.runs.protocol import OPTIMIZERS


def complete_model(incomplete: str) -> list[str]:
    """Return the single backbones that begin with `incomplete`."""
    return _beginning(incomplete, BACKBONES)


def complete_optimizer(incomplete: str) -> list[str]:
    """Return the optimizers that begin with `incomplete`."""
    return _beginning(incomplete, OPTIMIZERS)


def complete_policy(incomplete: str) -> list[str]:
    """Return the augmentation policies that begin with `incomplete`."""
    return _beginning(incomplete, POLICIES)


def _beginning(incomplete: str, names: Sequence[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
