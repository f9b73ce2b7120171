"""`fastmri-cls profile`."""

import json
import shlex
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from fastmri_cls.cli.completion import complete_policy
from fastmri_cls.cli.device import DeviceOption, import_tensorflow_for
from fastmri_cls.cli.output import AsJson, print_document
from fastmri_cls.runs.options import Cache, Precision, Xla


def profile(
    data: Annotated[Path, typer.Option(help="A dataset folder made by build-tfrecords.")],
    model: Annotated[str, typer.Option(help="As for train.")],
    out: Annotated[Path, typer.Option(help="The log folder to create, for tensorboard --logdir.")],
    phase: Annotated[int, typer.Option(min=1, max=2, help="The phase of train.")] = 1,
    steps: Annotated[int, typer.Option(min=1, help="Number of steps to record, after three warm-up steps.")] = 20,
    batch_size: Annotated[int | None, typer.Option(min=1, help="[default: 32]")] = None,
    augment: Annotated[
        str | None, typer.Option(help="As for train. [default: paper]", autocompletion=complete_policy)
    ] = None,
    cache: Annotated[Cache, typer.Option(help="As for train.")] = "auto",
    precision: Annotated[Precision, typer.Option(help="As for train.")] = "auto",
    xla: Annotated[Xla, typer.Option(help="As for train.")] = "auto",
    device: DeviceOption = "auto",
    as_json: AsJson = False,
) -> None:
    """Record some training steps for TensorBoard's profiler; report where their time goes and what to change.

    Example: `fastmri-cls profile --data data/mri --model convnext-tiny --out profiles/convnext`
    """
    import_tensorflow_for(device)
    from fastmri_cls.benchmark.profile import advice, print_profile, profile_steps
    from fastmri_cls.benchmark.trace import slowest_operations
    from fastmri_cls.dataset import Dataset
    from fastmri_cls.foundation.atomic import new_directory
    from fastmri_cls.foundation.extras import missing_extra
    from fastmri_cls.runs.options import TrainOptions
    from fastmri_cls.runs.protocol import resolve_protocol
    from fastmri_cls.training.resolve import resolve

    changes = {"batch_size": batch_size, "augment": augment}
    protocol = resolve_protocol("strict", {name: value for name, value in changes.items() if value is not None})
    with new_directory(out) as folder:
        dataset = Dataset(data)
        asked = TrainOptions(data, model, folder, protocol, cache=cache, precision=precision, xla=xla)
        options = resolve(asked, dataset)
        times = profile_steps(options, dataset, phase, steps)
        operations = slowest_operations(folder)
    sentences = advice(times, options, phase)
    print_profile(times, operations, sentences)
    print(f"trace: tensorboard --logdir {shlex.quote(str(out))}")
    if find_spec("tensorboard_plugin_profile") is None:
        print(f"its profile page {missing_extra('profile')}")
    if as_json:
        result = {
            "shares": times.shares,
            "images_per_second": times.images_per_second,
            "operations": [asdict(operation) for operation in operations.slowest],
            "unnamed_share": operations.unnamed,
            "advice": sentences,
        }
        print_document(json.dumps(result))
