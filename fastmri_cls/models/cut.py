"""A classifier cut in two where everything frozen in both phases ends: the trunk runs once, the top trains.

All parts share the classifier's layers; nothing is copied.
"""

from typing import NamedTuple

import keras
from keras import layers

from fastmri_cls.models.backbones import unfrozen_layers
from fastmri_cls.models.head import Classifier


class CutClassifier(NamedTuple):
    """The parts of a classifier.

    Fields:
        cut: the name of the layer behind which the cut is.
        trunk: images -> the features at the cut. rest: these -> the backbone's pooled features [batch, d].
        head: pooled features -> probabilities, what phase 1 trains.
        top: features at the cut -> probabilities, what phase 2 trains.
    """

    cut: str
    trunk: keras.Model
    rest: keras.Model
    head: keras.Model
    top: keras.Model


def cut_classifier(classifier: Classifier, unfreeze: float | str) -> CutClassifier:
    """Cut below the first layer that phase 2 trains (see `unfrozen_layers`)."""
    model, base = classifier.model, classifier.base
    tensor = find_cut(base, unfreeze)
    pooling = next(layer for layer in model.layers if isinstance(layer, layers.GlobalAveragePooling2D))
    preprocessed = model.operations[model.operations.index(base) - 1].output

    lower = keras.Model(base.inputs[0], tensor)
    trunk = keras.Model(model.inputs[0], lower(preprocessed))
    head = keras.Model(pooling.output, model.outputs[0])
    features = keras.Input(tensor.shape[1:], name="features")
    pooled = pooling(_upper(base, tensor)(features))
    return CutClassifier(
        cut=tensor._keras_history.operation.name,
        trunk=trunk,
        rest=keras.Model(features, pooled),
        head=head,
        top=keras.Model(features, head(pooled)),
    )


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
