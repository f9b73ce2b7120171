"""Forward passes of exported networks in OpenVINO, ONNX Runtime and LiteRT, called as their own guides show.

The images, float32 [n, size, size, 1] in 0..255, are made before the clock starts.
"""

from pathlib import Path

import numpy as np

from benchmarks.peers.workloads import Workload, repeated
from fastmri_cls.foundation.cpu import available_cores


def openvino(model_file: str, precision: str, batch: int) -> Workload:
    """OpenVINO with its hint for latency, its default, and the batch size fixed; `precision` is f32 or bf16."""
    from openvino import Core

    core, images = Core(), load(model_file, batch)
    model = core.read_model(model_file)
    model.reshape(images.shape)
    hints = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision}
    compiled = core.compile_model(model, "CPU", hints)
    return repeated(lambda: compiled(images), batch)


def onnxruntime(model_file: str, batch: int) -> Workload:
    """ONNX Runtime with its default, all optimisations of the graph."""
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = available_cores()
    session = InferenceSession(model_file, options, providers=["CPUExecutionProvider"])
    feed = {"image": load(model_file, batch)}
    return repeated(lambda: session.run(["probabilities"], feed), batch)


def litert(model_file: str, batch: int) -> Workload:
    """LiteRT with XNNPACK, its default. The file takes one image; a batch is a loop."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=model_file, num_threads=available_cores())
    interpreter.allocate_tensors()
    (entry,), (result, *_) = interpreter.get_input_details(), interpreter.get_output_details()
    images = load(model_file, batch)

    def run() -> None:
        for image in images:
            interpreter.set_tensor(entry["index"], image[None])
            interpreter.invoke()
            interpreter.get_tensor(result["index"])

    return repeated(run, batch)


def load(model_file: str, batch: int) -> np.ndarray:
    """Return the first images of the file beside the model."""
    return np.load(Path(model_file).with_name("images.npy"))[:batch].astype(np.float32)
