"""OpenVINO (extra `openvino`): how it reads a graph of TensorFlow, and how it computes on this CPU.

Its own converter of Keras models is not used: it is slower, and sends usage statistics to its makers.
"""

import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fastmri_cls.foundation.cpu import available_cores

_NAMES = {"float32": "f32", "bfloat16": "bf16"}  # of precisions, as OpenVINO has them


def is_installed() -> bool:
    """Return whether OpenVINO is there, without importing it."""
    return find_spec("openvino") is not None


def fast_precisions(core: Any) -> tuple[str, ...]:
    """Return the precisions in which this CPU computes fast, the fastest first."""
    has_bfloat16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return ("bfloat16", "float32") if has_bfloat16 else ("float32",)


def read_frozen(core: Any, frozen: Any) -> Any:
    """Return a function of TensorFlow whose weights are constants as a model; names of tensors stay."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.pb"
        file.write_bytes(frozen.graph.as_graph_def().SerializeToString())
        return core.read_model(file)


def compile_for_cpu(core: Any, model: Any, precision: str) -> Any:
    """Return a model as a function of a list or a dict of arrays, by the name of the input."""
    options = {
        "INFERENCE_PRECISION_HINT": _NAMES[precision],
        "INFERENCE_NUM_THREADS": available_cores(),
        "PERFORMANCE_HINT": "LATENCY",
        "ENABLE_CPU_PINNING": False,  # pinned threads wait where other work runs: 1.4 times as long at a load of 10
    }
    return core.compile_model(model, "CPU", options)
