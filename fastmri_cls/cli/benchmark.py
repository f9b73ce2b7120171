"""`fastmri-cls benchmark`: throughput relative to software in common use, every ratio from one run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fastmri_cls.cli.device import DeviceOption, import_tensorflow_for
from fastmri_cls.cli.output import AsJson, check_png, print_document, show_help
from fastmri_cls.foundation.quiet import import_tensorflow

if TYPE_CHECKING:
    from fastmri_cls.benchmark.measure import Result

app = typer.Typer(
    invoke_without_command=True,
    callback=show_help,
    help="Measure throughput relative to software in common use.\n\n"
    "Example: `fastmri-cls benchmark input --source archive`",
)

Source = Annotated[
    Path, typer.Option(exists=True, file_okay=False, help="A folder of class folders, or one with Training.")
]
Rounds = Annotated[
    int, typer.Option(min=1, help="Number of rounds; candidates take turns in each, and the median is reported.")
]
Seconds = Annotated[float, typer.Option(min=0.1, help="Seconds measured per candidate and round, after its warm-up.")]
Chart = Annotated[Path | None, typer.Option(metavar="FILE.png", help="Draw a bar chart.")]


@app.command("input")
def benchmark_input(
    source: Source,
    rounds: Rounds = 3,
    seconds: Seconds = 3.0,
    chart: Chart = None,
    device: DeviceOption = "auto",
    as_json: AsJson = False,
) -> None:
    """Measure the input pipelines, from files to augmented and normalised batches.

    Example: `fastmri-cls benchmark input --source archive/Training`
    """
    if chart:
        check_png("--chart", chart)
    import_tensorflow_for(device)
    from fastmri_cls.benchmark.inputs import benchmark_input as benchmark
    from fastmri_cls.benchmark.measure import Timing

    _show(benchmark(source, Timing(rounds=rounds, seconds=seconds)), chart, as_json)


@app.command("augment")
def benchmark_augment(
    source: Source,
    rounds: Rounds = 3,
    seconds: Seconds = 2.0,
    chart: Chart = None,
    device: DeviceOption = "auto",
    as_json: AsJson = False,
) -> None:
    """Measure augmentation alone, on images in memory.

    Example: `fastmri-cls benchmark augment --source archive/Training`
    """
    if chart:
        check_png("--chart", chart)
    import_tensorflow_for(device)
    from fastmri_cls.benchmark.augmentations import benchmark_augment as benchmark
    from fastmri_cls.benchmark.measure import Timing

    _show(benchmark(source, Timing(rounds=rounds, seconds=seconds)), chart, as_json)


@app.command("step")
def benchmark_step(
    source: Source,
    model: Annotated[str, typer.Option(help="A model of `train`.")] = "densenet121-imagenet",
    steps: Annotated[int, typer.Option(min=1, help="Training steps per measurement.")] = 16,
    rounds: Rounds = 3,
    device: DeviceOption = "auto",
    as_json: AsJson = False,
) -> None:
    """Measure the overhead of the input pipeline per training step, relative to steps on one constant batch.

    Example: `fastmri-cls benchmark step --source archive/Training`
    """
    import_tensorflow_for(device)
    from fastmri_cls.benchmark.step import benchmark_step as benchmark

    _show(benchmark(source, model, steps, rounds), None, as_json)


@app.command("protocol")
def benchmark_protocol(
    source: Source,
    model: Annotated[str, typer.Option(help="A model of `train` with published weights.")] = "densenet121-imagenet",
    images: Annotated[
        int, typer.Option(min=32, help="Number of training images; a quarter as many are used for validation.")
    ] = 64,
    views: Annotated[int, typer.Option(min=1, help="Number of feature views (cached augmentations).")] = 4,
    device: DeviceOption = "auto",
    as_json: AsJson = False,
) -> None:
    """Measure the seconds of the whole two-phase protocol: as the notebooks run it, live, and on feature views.

    Example: `fastmri-cls benchmark protocol --source archive --model convnext-tiny --images 32`
    """
    import_tensorflow_for(device)
    from fastmri_cls.benchmark import two_phase

    rows = two_phase.benchmark_protocol(source, model, images, views)
    for row in rows:
        print(f"{row.name:18} {row.seconds:8.0f} s {row.ratio:8.1f}x")
    if as_json:
        print_document(two_phase.to_json(rows))


@app.command("memory")
def benchmark_memory(source: Source, as_json: AsJson = False) -> None:
    """Measure the peak memory of one epoch over 10 000 and 40 000 images, streamed and cached.

    Example: `fastmri-cls benchmark memory --source archive/Training`
    """
    import_tensorflow()
    from fastmri_cls.benchmark import memory

    usages = memory.benchmark_memory(source)
    memory.print_usages(usages)
    if as_json:
        print_document(memory.to_json(usages))


def _show(result: "Result", chart: Path | None, as_json: bool) -> None:
    from fastmri_cls.benchmark.measure import print_result, write_chart

    print_result(result)
    if chart:
        write_chart(result, chart)
        print(f"chart: {chart}")
    if as_json:
        print_document(result.to_json())
