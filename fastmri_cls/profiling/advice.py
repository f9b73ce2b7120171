"""What to change about a training, from where its step's time goes."""

from fastmri_cls.models.hybrid import find_model
from fastmri_cls.profiling.steps import StepTimes
from fastmri_cls.runs.options import TrainOptions

_MUCH = 0.15  # of a step, that a part beside forward and backward may take unremarked


def advice(times: StepTimes, options: TrainOptions, phase: int) -> list[str]:
    """Return sentences, the most rewarding first; `options` as resolved, without `auto`."""
    waiting, augmenting, _ = times.shares.values()
    found = []
    if waiting > _MUCH:
        faster = {"none": "--cache ram, which decodes once", "ram": "--cache device, where the set fits"}
        cure = faster.get(options.cache, "a larger --batch-size")
        found.append(f"{waiting:.0%} of a step waits for input: choose {cure}")
    if augmenting > _MUCH:
        found.append(f"{augmenting:.0%} of a step augments ({options.protocol.augment}): choose a cheaper --augment")
    if found:
        return found
    found.append("input and augmentation are not what limits it: the model is")
    if options.precision == "float32":
        found.append("try --precision mixed_bfloat16 where the device has it")
    if phase == 1 and find_model(options.model).default_weights != "none":
        found.append("--feature-views runs the frozen layers once instead of in every epoch")
    return found
