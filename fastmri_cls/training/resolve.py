"""What `auto` means for one training on this machine: device, cache tier, precision and XLA."""

from dataclasses import replace

from fastmri_cls.dataset import Dataset
from fastmri_cls.foundation.gpus import visible_gpus
from fastmri_cls.foundation.progress import log
from fastmri_cls.pipeline.tiers import choose_tier
from fastmri_cls.runs.options import TrainOptions
from fastmri_cls.training.autotune import resolve_policy


def resolve(options: TrainOptions, dataset: Dataset, *, replicas: int = 1) -> TrainOptions:
    """Return `options` with every `auto` replaced by a choice.

    The tier is chosen first, since the measurement of precision and XLA takes memory of the device.

    Args:
        options: as given by the user.
        dataset: to train on.
        replicas: devices that share a batch.

    Raises:
        UserError: the requested tier does not fit.
    """
    cache = _cache_tier(options, dataset, replicas)
    policy = resolve_policy(options, dataset)
    device, xla = "gpu" if visible_gpus() else "cpu", "on" if policy.xla else "off"
    return replace(options, device=device, cache=cache, precision=policy.precision, xla=xla)


def _cache_tier(options: TrainOptions, dataset: Dataset, replicas: int) -> str:
    if options.feature_views:
        log.info("cache: none (feature views read each image once and keep the features)")
        return "none"
    return choose_tier(options.cache, dataset.manifest.pixels_bytes, replicas=replicas)
