"""A classifier taken apart where its backbone ends: what explanations and the score of unlike images look at."""

from typing import NamedTuple

import keras
from keras import layers

from fastmri_cls.models.branches import branches_of, pooled_features

# How much smaller than the image the map is that an explanation reads; measured in inference/gradcam.py.
_MAP_STRIDE = 4


class Parts(NamedTuple):
    """Models that share the classifier's weights. Of a hybrid, what is said of the backbone is a list, one of each.

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
    branches, last = branches_of(model), model.layers[-1]
    bases = [branch.base for branch in branches]
    maps = _one_or_all([_fine_map(base) for base in bases]), _one_or_all([base.outputs[0] for base in bases])
    return Parts(
        forward=keras.Model(model.inputs[0], (pooled_features(model), model.outputs[0])),
        preprocessing=keras.Model(model.inputs[0], _one_or_all([branch.prepared for branch in branches])),
        backbone=keras.Model(_one_or_all([base.inputs[0] for base in bases]), maps),
        head=keras.Model(_one_or_all([branch.pooling.input for branch in branches]), last.input),
        last=last,
    )


def _one_or_all(tensors: list[keras.KerasTensor]) -> keras.KerasTensor | list[keras.KerasTensor]:
    return tensors[0] if len(tensors) == 1 else tensors


def _fine_map(base: keras.Model) -> keras.KerasTensor:
    """The output of the last layer whose map has a quarter of the image's rows, or the largest smaller map."""
    rows = -(-base.input_shape[1] // _MAP_STRIDE)
    maps = [layer.output for layer in base.layers if _is_map(layer) and layer.output.shape[1] <= rows]
    finest = max(one.shape[1] for one in maps)
    return next(one for one in reversed(maps) if one.shape[1] == finest)


def _is_map(layer: layers.Layer) -> bool:
    # A squeeze-and-excitation's 1 x 1 maps are no maps.
    return isinstance(layer.output, keras.KerasTensor) and len(layer.output.shape) == 4 and layer.output.shape[1] > 1
