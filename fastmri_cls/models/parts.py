"""A classifier taken apart where its backbone ends: what explanations and the score of unlike images look at."""

from typing import NamedTuple

import keras
from keras import layers

# How much smaller than the image the map is that an explanation reads; measured in evaluation/gradcam.py.
_MAP_STRIDE = 4


class Parts(NamedTuple):
    """Models that share the classifier's weights.

    Fields:
        forward: images -> pooled features [batch, d] and probabilities [batch, classes], in one pass.
        preprocessing: images -> what the backbone takes.
        backbone: that -> the last map at a quarter of the image's size, and the output map; [batch, rows, columns, d].
        head: output map -> what the last layer takes [batch, units].
        last: that layer, whose softmax gives the probabilities.
    """

    forward: keras.Model
    preprocessing: keras.Model
    backbone: keras.Model
    head: keras.Model
    last: layers.Dense


def take_apart(model: keras.Model) -> Parts:
    """Return the parts of a model that `build_classifier` made, or that was loaded from such a one's file."""
    pooling = next(layer for layer in model.layers if isinstance(layer, layers.GlobalAveragePooling2D))
    base = next(layer for layer in model.layers if isinstance(layer, keras.Model))
    before_base = model.operations[model.operations.index(base) - 1]
    last = model.layers[-1]
    return Parts(
        forward=keras.Model(model.inputs[0], (pooling.output, model.outputs[0])),
        preprocessing=keras.Model(model.inputs[0], before_base.output),
        backbone=keras.Model(base.inputs[0], (_fine_map(base), base.outputs[0])),
        head=keras.Model(pooling.input, last.input),
        last=last,
    )


def _fine_map(base: keras.Model) -> keras.KerasTensor:
    """The output of the last layer whose map has a quarter of the image's rows, or the largest smaller map."""
    rows = -(-base.input_shape[1] // _MAP_STRIDE)
    maps = [layer.output for layer in base.layers if _is_map(layer) and layer.output.shape[1] <= rows]
    finest = max(one.shape[1] for one in maps)
    return next(one for one in reversed(maps) if one.shape[1] == finest)


def _is_map(layer: layers.Layer) -> bool:
    # A squeeze-and-excitation's 1 x 1 maps are no maps.
    return isinstance(layer.output, keras.KerasTensor) and len(layer.output.shape) == 4 and layer.output.shape[1] > 1
