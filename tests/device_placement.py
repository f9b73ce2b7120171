"""Where the operations of a traced loop would run on a machine with a GPU, told from TensorFlow's kernel registry.

TensorFlow's wheels register their GPU kernels on machines without a GPU too. Every operation is placed on the GPU if it
has a kernel there for its types, unless the program pins it to the CPU. Values that a kernel takes or gives in host
memory (`host_memory_arg`) stay on the host. A copy from device to host makes the host wait for all queued work; in the
body of a loop it does so in every step.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from tensorflow.core.framework import types_pb2
from tensorflow.python.framework import kernels, op_def_registry

HOST, DEVICE = "host", "device"
_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_BRANCHES = {"If": ("then_branch", "else_branch"), "StatelessIf": ("then_branch", "else_branch")}
_LOOPS = ("While", "StatelessWhile")
_HOST_TYPES = (types_pb2.DT_INT32, types_pb2.DT_RESOURCE, types_pb2.DT_VARIANT, types_pb2.DT_STRING)
# No kernel is launched for these.
_FREE = {
    "Const", "Identity", "IdentityN", "Reshape", "ExpandDims", "Squeeze", "Shape", "ShapeN", "NoOp", "ReadVariableOp",
    "VarHandleOp", "StopGradient", "PreventGradient", "BroadcastGradientArgs", "EnsureShape", "Size", "Rank", "Bitcast",
    "IteratorGetNext", "OptionalFromValue", "OptionalNone", "Placeholder",
}  # fmt: skip


@dataclass
class Traffic:
    """What one iteration of a loop does.

    Attributes:
        to_host: the inputs that have to be copied from the device to the host, "OPERATION name <- input".
        launches: kernels started on the device, by operation.
        compiled: functions that XLA runs as one.
        host_only: operations without a kernel on the device, by type; those pinned to the host not counted.
    """

    to_host: list[str] = field(default_factory=list)
    launches: Counter = field(default_factory=Counter)
    compiled: int = 0
    host_only: Counter = field(default_factory=Counter)


def traffic_of_loop(function: Any) -> Traffic:
    """Return what one iteration of the first loop of a concrete function does."""
    graph = function.graph.as_graph_def()
    library = {f.signature.name: f for f in graph.library.function}
    loop = next(node for node in graph.node if node.op in _LOOPS)
    body = library[loop.attr["body"].func.name]
    walk = _Walk(library)
    walk.function(body, [HOST if arg.type in _HOST_TYPES else DEVICE for arg in body.signature.input_arg])
    return walk.traffic


class _Walk:
    """Follows the memory of every tensor through functions, calls and branches inlined."""

    def __init__(self, library: dict[str, Any]) -> None:
        self.traffic = Traffic()
        self._library = library

    def function(self, definition: Any, arguments: Sequence[str]) -> list[str]:
        """Return where each output of a function is, given where its arguments are."""
        memory = {arg.name: place for arg, place in zip(definition.signature.input_arg, arguments, strict=True)}
        for node in _in_order(definition):
            inputs = [name for name in node.input if not name.startswith("^")]
            places = self._run(node, inputs, [memory.get(name, DEVICE) for name in inputs])
            memory.update(dict(zip(_output_names(node), places, strict=False)))
        return [memory.get(definition.ret[output.name], DEVICE) for output in definition.signature.output_arg]

    def _run(self, node: Any, names: list[str], places: list[str]) -> list[str]:
        """Count what `node` does; return where its outputs are."""
        count = len(list(_output_names(node)))
        if node.op in _CALLS:
            called = self._library[node.attr["f"].func.name]
            if node.attr["_XlaMustCompile"].b or called.attr["_XlaMustCompile"].b:
                self.traffic.compiled += 1
                return [DEVICE] * count
            return self.function(called, places)
        if node.op in _BRANCHES or node.op in ("Case", "StatelessCase"):
            self._copy_to_host(node, names[0], places[0])
            branches = node.attr["branches"].list.func if "Case" in node.op else [
                node.attr[name].func for name in _BRANCHES[node.op]
            ]  # fmt: skip
            results = [self.function(self._library[branch.name], places[1:]) for branch in branches]
            return [DEVICE if DEVICE in outputs else HOST for outputs in zip(*results, strict=True)]
        if node.op in _LOOPS:
            self.function(self._library[node.attr["body"].func.name], places)
            return places
        return self._kernel(node, names, places, count)

    def _kernel(self, node: Any, names: list[str], places: list[str], count: int) -> list[str]:
        is_pinned = "CPU" in node.device
        kernel = None if is_pinned else (_find(node, "GPU") or _find(node, "DEFAULT"))
        on_host = set() if kernel is None else set(kernel.host_memory_arg)
        for name, place, argument in zip(names, places, _arguments(node, "input_arg"), strict=False):
            if kernel is None or argument in on_host:
                self._copy_to_host(node, name, place)
        if kernel is None:
            if not is_pinned:
                self.traffic.host_only[node.op] += 1
            return [HOST] * count
        outputs = [HOST if argument in on_host else DEVICE for argument in _arguments(node, "output_arg")]
        if node.op not in _FREE and (DEVICE in outputs or node.op.startswith("Assign")):
            self.traffic.launches[node.op] += 1
        return outputs

    def _copy_to_host(self, node: Any, name: str, place: str) -> None:
        if place == DEVICE:
            self.traffic.to_host.append(f"{node.op} {node.name[-60:]} <- {name[-60:]}")


def _in_order(definition: Any) -> Iterator[Any]:
    """Yield the nodes of a function, each after its inputs."""
    done = {arg.name for arg in definition.signature.input_arg}
    waiting = list(definition.node_def)
    while waiting:
        ready = [n for n in waiting if all(name.lstrip("^").split(":")[0] in done for name in n.input)]
        assert ready, "a cycle"
        done |= {node.name for node in ready}
        waiting = [node for node in waiting if node.name not in done]
        yield from ready


def _arguments(node: Any, kind: str) -> Iterator[str]:
    """Yield the argument's name for every input or output tensor of a node."""
    for argument in getattr(op_def_registry.get(node.op), kind):
        if argument.number_attr:
            count = node.attr[argument.number_attr].i
        else:
            count = len(node.attr[argument.type_list_attr].list.type) if argument.type_list_attr else 1
        yield from [argument.name] * count


def _output_names(node: Any) -> Iterator[str]:
    seen: Counter = Counter()
    for argument in _arguments(node, "output_arg"):
        yield f"{node.name}:{argument}:{seen[argument]}"
        seen[argument] += 1


@cache
def _registered(operation: str) -> list[Any]:
    return list(kernels.get_registered_kernels_for_op(operation).kernel)


def _find(node: Any, device: str) -> Any:
    """Return the kernel that a device has for the types of a node, or None."""
    types = {name: {value.type} if value.type else set(value.list.type) for name, value in node.attr.items()}
    label = node.attr["_kernel"].s.decode() if "_kernel" in node.attr else ""
    for kernel in _registered(node.op):
        fits = all(types.get(c.name, {None}) <= set(c.allowed_values.list.type) for c in kernel.constraint)
        if kernel.device_type == device and kernel.label == label and fits:
            return kernel
    return None


def describe(traffic: Traffic) -> str:
    """Return the counts for people."""
    return (
        f"{sum(traffic.launches.values())} launches, {traffic.compiled} compiled functions, "
        f"{len(traffic.to_host)} copies to the host {traffic.to_host}, on the host {dict(traffic.host_only)}"
    )
