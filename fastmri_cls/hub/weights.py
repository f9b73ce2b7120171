"""`train --weights`: everything that models/weights.py takes, and RUNs of the hub."""

from dataclasses import replace

from fastmri_cls.hub.cached import cached_run
from fastmri_cls.hub.names import is_hub_address
from fastmri_cls.models import weights
from fastmri_cls.models.head import Classifier
from fastmri_cls.runs.config import LoadedWeights


def load_weights(classifier: Classifier, spec: str) -> LoadedWeights | None:
    """Load what `--weights spec` means, hf://user/name too; see `models.weights.load_weights`.

    The path of weights from the hub is their address with the commit.
    """
    parts = spec.split("+")
    found = {part: cached_run(part) for part in parts if is_hub_address(part)}
    if not found:
        return weights.load_weights(classifier, spec)
    local = "+".join(str(found[part][0]) if part in found else part for part in parts)
    loaded = weights.load_weights(classifier, local)
    if loaded is None:
        return None
    path = loaded.path
    for folder, repository in found.values():
        path = path.replace(str(folder), str(repository))
    return replace(loaded, spec=spec, path=path)
