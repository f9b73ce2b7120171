"""The optimizer of a phase; its schedule, clipping, accumulation and averaging are all Keras' own."""

import keras

from fastmri_cls.runs.protocol import PROTOCOLS, Protocol

_DEFAULT = PROTOCOLS["strict"]  # Adam, as in every protocol


def make_optimizer(
    learning_rate: float, precision: str, protocol: Protocol = _DEFAULT, steps: int = 0
) -> keras.optimizers.Optimizer:
    """Return the optimizer that `protocol` names.

    Args:
        learning_rate: at the first step.
        precision: Keras' dtype policy; mixed_float16 scales the loss.
        protocol: the recipe.
        steps: of the whole phase, over which a cosine decays to `min_learning_rate`; accumulated steps count too.
    """
    floor = protocol.min_learning_rate / learning_rate
    is_cosine = protocol.schedule == "cosine"
    config = {
        "learning_rate": keras.optimizers.schedules.CosineDecay(learning_rate, steps, floor)
        if is_cosine
        else learning_rate,
        "use_ema": protocol.ema,
        "global_clipnorm": protocol.clip_norm,
        "gradient_accumulation_steps": protocol.accumulate if protocol.accumulate > 1 else None,
    }
    optimizer = keras.optimizers.get({"class_name": protocol.optimizer, "config": config})
    # Without scaling float16 gradients would underflow.
    return keras.optimizers.LossScaleOptimizer(optimizer) if precision == "mixed_float16" else optimizer
