"""The optimizer of a phase, all of it Keras': which one, how its rate falls, clipping, accumulation, averaging."""

import keras

from fastmri_cls.runs.protocol import PROTOCOLS, Protocol

_ADAM = PROTOCOLS["strict"]  # and of every other protocol


def make_optimizer(
    learning_rate: float, precision: str, protocol: Protocol = _ADAM, steps: int = 0
) -> keras.optimizers.Optimizer:
    """Return the optimizer that `protocol` names, beginning at `learning_rate`.

    Args:
        steps: of the whole phase, over which a cosine falls to `min_learning_rate`; an accumulated one counts too.
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
    # float16 gradients would underflow unscaled.
    return keras.optimizers.LossScaleOptimizer(optimizer) if precision == "mixed_float16" else optimizer
