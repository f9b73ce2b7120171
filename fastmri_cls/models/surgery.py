"""A classifier's graph taken apart: its branches, the cut below which nothing trains, and what explanations read.

All parts share the classifier's layers; no weight is copied. Functions that return one thing per backbone return a
list, also for a classifier of one backbone.
"""

import math
from itertools import pairwise
from typing import NamedTuple

import keras
import numpy as np
from keras import layers

from fastmri_cls.foundation.private_api import producer, producer_inputs
from fastmri_cls.models.backbones import unfreeze_each, unfrozen_layers
from fastmri_cls.models.head import Classifier

# The stride, relative to the image, of the feature map that explanations read; measured in inference/gradcam.py.
_FINE_STRIDE = 4


class Branch(NamedTuple):
    """One backbone in a classifier's graph.

    Attributes:
        prepared: its preprocessed input.
        base: the backbone.
        pooling: the pooling of its feature map.
    """

    prepared: keras.KerasTensor
    base: keras.Model
    pooling: layers.GlobalAveragePooling2D


def branches_of(model: keras.Model) -> list[Branch]:
    """Return the branches of a classifier in their order: one, or two in a hybrid."""
    order = {id(tensor): place for place, tensor in enumerate(producer_inputs(pooled_features(model)))}
    poolings = [layer for layer in model.layers if isinstance(layer, layers.GlobalAveragePooling2D)]
    poolings.sort(key=lambda pooling: order.get(id(pooling.output), 0))
    return [Branch(producer_inputs(p.input)[0], producer(p.input), p) for p in poolings]


def pooled_features(model: keras.Model) -> keras.KerasTensor:
    """Return the input of the head: the pooled features of all branches, [batch, d]."""
    # The head's is the only BatchNormalization outside the backbones.
    return next(layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)).input


class SplitClassifier(NamedTuple):
    """Models that share the classifier's weights, split where the backbones end.

    Attributes:
        forward: images -> pooled features [batch, d] and probabilities [batch, classes], in one pass.
        preprocessing: images -> the input of each backbone, a list.
        backbone: these inputs -> feature maps with a stride of 4, and final feature maps; two lists of
            [batch, rows, columns, d].
        head: final feature maps, a list -> the input of the last layer [batch, units].
        last: the last layer, whose softmax gives the probabilities.
    """

    forward: keras.Model
    preprocessing: keras.Model
    backbone: keras.Model
    head: keras.Model
    last: layers.Dense


def split_classifier(model: keras.Model) -> SplitClassifier:
    """Split a classifier that `build_classifier` made, or one that was loaded from its file."""
    branches, last = branches_of(model), model.layers[-1]
    bases = [branch.base for branch in branches]
    maps = [_fine_map(base) for base in bases], [base.outputs[0] for base in bases]
    return SplitClassifier(
        forward=keras.Model(model.inputs[0], (pooled_features(model), model.outputs[0])),
        preprocessing=keras.Model(model.inputs[0], [branch.prepared for branch in branches]),
        backbone=keras.Model([base.inputs[0] for base in bases], maps),
        head=keras.Model([branch.pooling.input for branch in branches], last.input),
        last=last,
    )


def _fine_map(base: keras.Model) -> keras.KerasTensor:
    """Return the last feature map with a quarter of the image's rows, or the largest smaller one."""
    rows = -(-base.input_shape[1] // _FINE_STRIDE)
    maps = [layer.output for layer in base.layers if _is_map(layer) and layer.output.shape[1] <= rows]
    finest = max(feature_map.shape[1] for feature_map in maps)
    return next(feature_map for feature_map in reversed(maps) if feature_map.shape[1] == finest)


def _is_map(layer: layers.Layer) -> bool:
    # The 1 x 1 outputs of squeeze-and-excitation do not count.
    return isinstance(layer.output, keras.KerasTensor) and len(layer.output.shape) == 4 and layer.output.shape[1] > 1


class CutClassifier(NamedTuple):
    """A classifier cut where everything that is frozen in both phases ends.

    Attributes:
        cut: the name of the layer after which the cut is, for people; in a hybrid one name per backbone.
        unfreeze: what phase 2 trains, see `unfreeze_each`.
        places: the position of that layer in each backbone. Keras numbers unnamed layers anew in each process, so the
            name does not identify it.
        trunk: images -> features at the cut; frozen in both phases. In a hybrid one row [batch, units].
        tail: features at the cut -> pooled features [batch, d]; the part of the backbones that phase 2 trains.
        head: pooled features -> probabilities; trained in phase 1.
        tail_and_head: features at the cut -> probabilities; trained in phase 2.
    """

    cut: str
    unfreeze: float | str
    places: tuple[int, ...]
    trunk: keras.Model
    tail: keras.Model
    head: keras.Model
    tail_and_head: keras.Model


def cut_classifier(classifier: Classifier, unfreeze: float | str) -> CutClassifier:
    """Cut each backbone below the first layer that phase 2 trains (see `unfreeze_each`)."""
    model, branches = classifier.model, branches_of(classifier.model)
    fractions = unfreeze_each(classifier.bases, unfreeze)
    cuts = [find_cut(branch.base, fraction) for branch, fraction in zip(branches, fractions, strict=True)]
    last = [producer(cut) for cut in cuts]

    lowers = [keras.Model(b.base.inputs[0], cut)(b.prepared) for b, cut in zip(branches, cuts, strict=True)]
    trunk = keras.Model(model.inputs[0], _pack(lowers))
    head = keras.Model(pooled_features(model), model.outputs[0])
    features = keras.Input(trunk.output_shape[1:], name="features")
    pooled = [
        branch.pooling(_upper(branch.base, cut)(x))
        for branch, cut, x in zip(branches, cuts, _unpack(features, cuts), strict=True)
    ]
    joined = pooled[0] if len(pooled) == 1 else layers.Concatenate()(pooled)
    return CutClassifier(
        cut=" + ".join(operation.name for operation in last),
        unfreeze=unfreeze,
        places=tuple(b.base.operations.index(operation) for b, operation in zip(branches, last, strict=True)),
        trunk=trunk,
        tail=keras.Model(features, joined),
        head=head,
        tail_and_head=keras.Model(features, head(joined)),
    )


def _pack(maps: list[keras.KerasTensor]) -> keras.KerasTensor:
    """Return a single map unchanged, and several flattened into one row, so that features are always one array."""
    return maps[0] if len(maps) == 1 else layers.Concatenate()([layers.Flatten()(x) for x in maps])


def _unpack(features: keras.KerasTensor, cuts: list[keras.KerasTensor]) -> list[keras.KerasTensor]:
    """Undo `_pack`."""
    if len(cuts) == 1:
        return [features]
    ends = np.cumsum([0, *(math.prod(cut.shape[1:]) for cut in cuts)]).tolist()
    parts = [features[:, start:end] for start, end in pairwise(ends)]
    return [layers.Reshape(cut.shape[1:])(part) for cut, part in zip(cuts, parts, strict=True)]


def find_cut(base: keras.Model, unfreeze: float | str) -> keras.KerasTensor:
    """Return the last tensor that alone carries everything from the layers frozen in both phases to those above.

    Walks the graph in topological order and keeps the latest place before the first trained layer that only a single
    tensor crosses. In DenseNet121 this is the end of conv4_block24, in a residual network the end of a block.
    """
    trained = {id(layer) for layer in unfrozen_layers(base, unfreeze) if layer.weights}
    last_use = {id(base.outputs[0]): len(base.operations)}
    for place, operation in enumerate(base.operations):
        for tensor in _inputs(operation):
            last_use[id(tensor)] = max(place, last_use.get(id(tensor), 0))
    crossing: dict[int, keras.KerasTensor] = {}
    found = base.inputs[0]
    for place, operation in enumerate(base.operations):
        if id(operation) in trained:
            break
        crossing |= {id(tensor): tensor for tensor in keras.tree.flatten(operation.output)}
        crossing = {key: tensor for key, tensor in crossing.items() if last_use.get(key, -1) > place}
        if len(crossing) == 1:
            found = next(iter(crossing.values()))
    return found


def _inputs(operation: keras.Operation) -> list[keras.KerasTensor]:
    return [] if isinstance(operation, layers.InputLayer) else keras.tree.flatten(operation.input)


def _upper(base: keras.Model, tensor: keras.KerasTensor) -> keras.layers.Layer:
    """Return the backbone above the cut, which is empty where phase 2 unfreezes nothing."""
    return layers.Identity() if tensor is base.outputs[0] else keras.Model(tensor, base.outputs[0])
