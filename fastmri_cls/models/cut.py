"""A classifier cut in two where everything frozen in both phases ends: the trunk runs once, the top trains.

All parts share the classifier's layers; nothing is copied.
"""

import math
from itertools import pairwise
from typing import NamedTuple

import keras
import numpy as np
from keras import layers

from fastmri_cls.models.backbones import unfreeze_each, unfrozen_layers
from fastmri_cls.models.branches import branches_of, pooled_features
from fastmri_cls.models.head import Classifier


class CutClassifier(NamedTuple):
    """The parts of a classifier.

    Fields:
        cut: the name of the layer behind which the cut is (of one in each backbone), for people.
        places: that layer's place in its backbone: Keras numbers unnamed layers anew in each process.
        trunk: images -> the features at the cut, of several backbones in one row [batch, units].
        rest: these -> the backbones' pooled features [batch, d].
        head: pooled features -> probabilities, what phase 1 trains.
        top: features at the cut -> probabilities, what phase 2 trains.
    """

    cut: str
    places: tuple[int, ...]
    trunk: keras.Model
    rest: keras.Model
    head: keras.Model
    top: keras.Model


def cut_classifier(classifier: Classifier, unfreeze: float | str) -> CutClassifier:
    """Cut below the first layer that phase 2 trains, in each backbone (see `unfreeze_each`)."""
    model, branches = classifier.model, branches_of(classifier.model)
    shares = unfreeze_each(classifier.bases, unfreeze)
    cuts = [find_cut(branch.base, share) for branch, share in zip(branches, shares, strict=True)]
    last = [cut._keras_history.operation for cut in cuts]

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
        places=tuple(b.base.operations.index(operation) for b, operation in zip(branches, last, strict=True)),
        trunk=trunk,
        rest=keras.Model(features, joined),
        head=head,
        top=keras.Model(features, head(joined)),
    )


def _pack(maps: list[keras.KerasTensor]) -> keras.KerasTensor:
    """One map as it is, several flattened into one row, so that features are one array whatever the model."""
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

    Walks the graph in topological order and keeps the latest place before the first trained layer where one single
    tensor crosses. DenseNet121: conv4_block24's end; of a residual network the end of a block.
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
    """The backbone above the cut; nothing at all where phase 2 unfreezes nothing."""
    return layers.Identity() if tensor is base.outputs[0] else keras.Model(tensor, base.outputs[0])
