"""Models by name: a backbone of the registry, or two side by side under one head (`hybrid`, `hybrid:A+B`)."""

from dataclasses import dataclass

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.models.registry import BACKBONES, Backbone, find_backbone

_PREFIX = "hybrid"
# One taught on medical images, one on photographs: what either lacks the other may have.
_DEFAULT_PAIR = "densenet121-radimagenet+efficientnetv2s"


@dataclass(frozen=True)
class Hybrid:
    """Backbones whose pooled features stand side by side, each with its own preprocessing and weights."""

    name: str
    branches: tuple[Backbone, ...]

    @property
    def default_weights(self) -> str:
        """`default`, each one's own; `none` where no one has any."""
        return "none" if all(one.default_weights == "none" for one in self.branches) else "default"


def find_model(name: str) -> Backbone | Hybrid:
    """Return what `--model name` means.

    Raises:
        UserError: there is no such backbone, or a hybrid is not of two different ones.
    """
    prefix, _, pair = name.partition(":")
    if prefix != _PREFIX:
        if name not in BACKBONES:
            known = ", ".join([*BACKBONES, "hybrid", "hybrid:A+B"])
            raise UserError(f"--model {name}: unknown; choose one of {known}")
        return BACKBONES[name]
    names = (pair or _DEFAULT_PAIR).split("+")
    if len(set(names)) != 2 or len(names) != 2:
        raise UserError(f"--model {name}: a hybrid is of two different backbones; give it as hybrid:A+B")
    return Hybrid(f"{_PREFIX}:{'+'.join(names)}", tuple(find_backbone(one) for one in names))
