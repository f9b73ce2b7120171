"""Training steps in PyTorch: torchvision's networks with random weights, a head like ours, channels last.

Frozen layers are in eval(), under no_grad. In bfloat16 their weights are too; what trains keeps its weights in float32
and computes under autocast, which corresponds to mixed_bfloat16. With `compiled`, torch.compile gets the frozen layers
with its option `freezing`, which folds BatchNormalization and prepares the weights, and the others as a graph of their
own. Loss, regularisation, dropout and optimizer are those of ours.
"""

from collections.abc import Callable, Iterator

import torch
import torchvision
from torch import nn
from torchvision.models.densenet import _DenseBlock

from fastmri_cls.foundation.cpu import available_cores

# Relative, since gpu.py imports this too, and it has another folder on its path than worker.py.
from ..networks import TORCHVISION
from . import Workload, repeated

# What phase 2 trains, the last 20 % of Keras' layers (unfrozen_layers): the number of blocks, counted from the top, and
# the first part of the lowest one that trains. 1 695 744, 6 909 888 and 16 062 720 weights, on both sides.
TRAINED = {"densenet121-imagenet": (14, ""), "efficientnetv2s": (8, "block.2"), "convnext-tiny": (6, "block.5")}
CLASSES = 4


class Appended(nn.Module):
    """A dense layer, whose output is appended to its input."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the input and the layer's output, one after the other."""
        return torch.cat([x, self.layer(x)], 1)


def blocks(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the blocks of a backbone in the order of its forward pass."""
    for child in module.children():
        if isinstance(child, _DenseBlock):
            yield from map(Appended, child.values())
        elif type(child) is nn.Sequential:
            yield from blocks(child)
        else:
            yield child


def backbone(model: str) -> tuple[list[nn.Module], nn.Module, int]:
    """Return the blocks of a network, what makes features of their output, and the number of features."""
    network = torchvision.models.get_model(TORCHVISION[model], weights=None)
    parts: list[nn.Module] = list(blocks(network.features))
    pooled: list[nn.Module] = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    if isinstance(network, torchvision.models.DenseNet):
        return [*parts, nn.ReLU()], nn.Sequential(*pooled), network.classifier.in_features
    if isinstance(network, torchvision.models.ConvNeXt):
        pooled.insert(1, network.classifier[0])  # LayerNorm2d
    return parts, nn.Sequential(*pooled), network.classifier[-1].in_features


def head(features: int) -> nn.Module:
    """Return the layers of `paper_head`."""
    return nn.Sequential(
        nn.BatchNorm1d(features),
        *(nn.Linear(features, 512), nn.ReLU(), nn.Dropout(0.5)),
        *(nn.Linear(512, 256), nn.ReLU(), nn.Dropout(0.4)),
        nn.Linear(256, CLASSES),
    )


def trunk_and_tail(model: str, phase: int) -> tuple[nn.Module, nn.Module]:
    """Return the layers below the first one that trains, frozen, and all others, whose last is the head."""
    parts, pooling, features = backbone(model)
    count, first = TRAINED[model] if phase == 2 else (0, "")
    cut = len(parts) - count
    trunk = nn.Sequential(*parts[:cut]).eval().requires_grad_(False)
    tail = nn.Sequential(*parts[cut:], pooling)
    if phase == 1:
        tail.eval().requires_grad_(False)
    for module in tail.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval().requires_grad_(False)
    for name, weight in tail[0].named_parameters():
        if name < first:
            weight.requires_grad_(False)
    return trunk, tail.append(head(features))


def make_step(
    model: str,
    size: int,
    batch: int,
    *,
    phase: int = 1,
    precision: str = "bfloat16",
    compiled: bool = False,
    device: str = "cpu",
) -> Callable[[], torch.Tensor]:
    """Return a step on one constant batch, which returns its loss; `precision` is bfloat16 or float32."""
    trunk, tail = trunk_and_tail(model, phase)
    dtype = getattr(torch, precision)
    layout = {"device": device, "memory_format": torch.channels_last}
    trunk, tail = trunk.to(dtype=dtype, **layout), tail.to(**layout)
    images = torch.randn(batch, 3, size, size).to(dtype=dtype, **layout)
    labels = (torch.arange(batch) % CLASSES).to(device)
    optimizer = torch.optim.Adam([weight for weight in tail.parameters() if weight.requires_grad], 1e-4)
    decayed = [layer.weight for layer in tail[-1] if isinstance(layer, nn.Linear)][:2]

    def loss_of(maps: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device, torch.bfloat16, enabled=dtype == torch.bfloat16):
            logits = tail(maps)
        loss = nn.functional.cross_entropy(logits.float(), labels, label_smoothing=0.1)
        return loss + 1e-4 * sum(weight.square().sum() for weight in decayed)

    if compiled:
        torch._inductor.config.freezing = True
        trunk, loss_of = torch.compile(trunk), torch.compile(loss_of)

    def step() -> torch.Tensor:
        with torch.no_grad():
            maps = trunk(images)
        loss = loss_of(maps)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def step(model: str, phase: int, size: int, batch: int, precision: str, compiled: bool) -> Workload:
    """A training step on this machine's CPU."""
    torch.set_num_threads(available_cores())
    run = make_step(model, size, batch, phase=phase, precision=precision, compiled=compiled)
    return repeated(lambda: float(run()), batch)
