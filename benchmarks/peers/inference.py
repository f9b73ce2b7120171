"""Claim: `predict`'s forward pass is as fast as the inference engines that it can be exported to.

python benchmarks/peers/environments.py runtimes
python benchmarks/peers/inference.py [--models A,B] [--batches 32,1] [--rounds 3] [--json FILE]

A table a model and batch size, images per second of a forward pass at 224 px on one batch in memory: neither decoding
nor writing is in the numbers. The networks have random weights and are exported as `fastmri-cls export` does: to ONNX,
and to LiteRT in float32 and with int8 weights; that takes a minute or two before the first table.

ours        what `predict --engine NAME` runs; OpenVINO, ONNX Runtime and LiteRT are engines of predict as well, so
            these rows show what its own code around them costs
peers       the same files in the runtimes alone, called as their guides show, in environments of their own

LiteRT's file takes one image, so a batch is a loop there. `litert-dynamic` is not exact: its weights have 256 levels.
`ratio` is that to the best peer.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import export_untrained
from turns import WORKLOADS, Candidate, Plan, Table, measure, parser, run

from fastmri_cls.benchmark.measure import Timing

MODELS = "densenet121-imagenet,efficientnetv2s,convnext-tiny"
ONE_SECOND = Timing(seconds=1.0, min_batches=1, warm_up=0)
OURS, PEERS = f"{WORKLOADS}.ours", f"{WORKLOADS}.runtimes"


def candidates(folder: Path, batch: int) -> list[Candidate]:
    """Return the candidates of a table, on the files that export_untrained.py has written."""
    keras, onnx, litert, dynamic = (str(folder / name) for name in export_untrained.FILES)

    def file_name(file: str) -> str:
        return str(Path(file).relative_to(folder))

    def ours(engine: str, function: str, file: str, **more: str) -> Candidate:
        precision = more.get("precision", "float32").removeprefix("mixed_")
        arguments = {"model_file": file, "batch": batch, **more}
        return Candidate(f"ours {engine} {precision}", f"{OURS}:{function}", arguments, file_name(file), kind="ours")

    def peer(name: str, function: str, file: str, package: str, **more: str) -> Candidate:
        arguments = {"model_file": file, "batch": batch, **more}
        return Candidate(name, f"{PEERS}:{function}", arguments, file_name(file), "runtimes", (package,))

    return [
        ours("keras", "keras_forward", keras, precision="float32"),
        ours("keras", "keras_forward", keras, precision="mixed_bfloat16"),
        ours("openvino", "openvino_forward", onnx, precision="bfloat16"),
        ours("onnx", "exported_forward", onnx),
        ours("litert", "exported_forward", litert),
        peer("OpenVINO bfloat16", "openvino", onnx, "openvino", precision="bf16"),
        peer("ONNX Runtime float32", "onnxruntime", onnx, "onnxruntime"),
        peer("LiteRT float32", "litert", litert, "ai-edge-litert"),
        peer("LiteRT int8 weights", "litert", dynamic, "ai-edge-litert"),
    ]


def main() -> None:
    """Parse, export, measure, print."""
    options = parser(__doc__, rounds=3)
    options.add_argument("--models", default=MODELS, metavar="A,B")
    options.add_argument("--batches", default="32,1", metavar="N,M")
    options.add_argument("--image-size", type=int, default=224, help="in pixels; a small one only tries it out")
    given = options.parse_args()
    models, batches = given.models.split(","), [int(batch) for batch in given.batches.split(",")]

    def tables(folder: Path) -> Iterator[Table]:
        for model, batch in product(models, batches):
            if not (folder / model).is_dir():
                script = Path(export_untrained.__file__)
                subprocess.run(
                    [sys.executable, script, model, str(given.image_size), str(max(batches)), folder / model],
                    check=True, stdout=subprocess.DEVNULL,
                )  # fmt: skip
            title = f"{model}, forward pass, {given.image_size} px, batch {batch}"
            yield measure(title, candidates(folder / model, batch), Plan(given.rounds, ONE_SECOND))

    with tempfile.TemporaryDirectory() as name:
        run(tables(Path(name)), given.json)


if __name__ == "__main__":
    main()
