"""The branches of a classifier's graph, built or loaded: what goes into each backbone, the backbone, its pooling."""

from typing import NamedTuple

import keras
from keras import layers


class Branch(NamedTuple):
    """A backbone in a classifier's graph: what it takes, itself, and the pooling of its map."""

    prepared: keras.KerasTensor
    base: keras.Model
    pooling: layers.GlobalAveragePooling2D


def branches_of(model: keras.Model) -> list[Branch]:
    """Return the branches in their order, one or (in a hybrid) two."""
    poolings = [layer for layer in model.layers if isinstance(layer, layers.GlobalAveragePooling2D)]
    before_head = pooled_features(model)
    order = {id(tensor): place for place, tensor in enumerate(_inputs_of(before_head))}
    poolings.sort(key=lambda pooling: order.get(id(pooling.output), 0))
    found = []
    for pooling in poolings:
        history = pooling.input._keras_history
        node = history.operation._inbound_nodes[history.node_index]
        found.append(Branch(node.input_tensors[0], history.operation, pooling))
    return found


def pooled_features(model: keras.Model) -> keras.KerasTensor:
    """Return what the head takes: the pooled features of all branches, [batch, d]."""
    # The head's is the only BatchNormalization outside the backbones.
    return next(layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)).input


def _inputs_of(tensor: keras.KerasTensor) -> list[keras.KerasTensor]:
    history = tensor._keras_history
    return list(history.operation._inbound_nodes[history.node_index].input_tensors)
