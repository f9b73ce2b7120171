"""`fastmri-cls study`."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fastmri_cls.cli.cluster import Dask
from fastmri_cls.cli.output import AsJson, print_document
from fastmri_cls.cli.train import train

# Flags of `train` that a study sets itself.
_OURS = ("--data", "--model", "--out", "--seed", "--fold", "--resume", "--json")


class Ablation(StrEnum):
    """A setting to compare both ways; an Enum, since Typer takes no list of Literals."""

    preprocessing = "preprocessing"
    contrast = "contrast"
    pretraining = "pretraining"


def study(
    context: typer.Context,
    data: Annotated[list[Path], typer.Option(help="A dataset folder; give several if they have the same test images.")],
    models: Annotated[
        str,
        typer.Option(metavar="A,B=WEIGHTS,C", help="Models of train --model; after =, the value of its --weights."),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the study; give it again to resume.")],
    seeds: Annotated[str, typer.Option(metavar="0,1,2", help="One run of every model for each seed.")] = "0,1,2",
    ablate: Annotated[list[Ablation] | None, typer.Option(help="Compare both variants; may be given again.")] = None,
    dask: Dask = None,
    as_json: AsJson = False,
) -> None:
    """Train models x seeds (x folds, where the dataset has them) and compare them in one report.

    Every other flag goes to train. Finished cells are kept, so the same command resumes. A failed cell does not stop
    the others. auto for precision and XLA is decided once for each model. For the leakage ablation, build with
    --leakage report and with --leakage drop, and give --data twice.

    Example: `fastmri-cls study --data data/mri --models small-cnn,convnext-tiny --seeds 0,1 --out study`
    """
    names = tuple(dict.fromkeys(name.strip() for name in models.split(",") if name.strip()))
    if not names:
        raise typer.BadParameter(f"{models}: names no model", param_hint="--models")
    flags = tuple(context.args)
    _check_train_flags(flags, out)
    chosen = tuple(dict.fromkeys(a.value for a in ablate or ()))

    from fastmri_cls.foundation.quiet import import_tensorflow

    import_tensorflow()
    from fastmri_cls.comparison.report import as_json as to_json
    from fastmri_cls.comparison.report import print_comparison
    from fastmri_cls.report.tables import terminal
    from fastmri_cls.study.plan import StudyOptions
    from fastmri_cls.study.run import run_study

    found = run_study(StudyOptions(tuple(data), names, _numbers(seeds), out, chosen, flags, dask))
    print_comparison(found, out, terminal())
    if as_json:
        print_document(json.dumps(to_json(found)))


def _numbers(seeds: str) -> tuple[int, ...]:
    try:
        found = tuple(dict.fromkeys(int(part) for part in seeds.split(",")))
    except ValueError:
        raise typer.BadParameter(f"{seeds}: not a list of whole numbers like 0,1,2", param_hint="--seeds") from None
    if min(found) < 0 or max(found) >= 2**32:
        raise typer.BadParameter(f"{seeds}: a seed is 0 or more, and below 2**32", param_hint="--seeds")
    return found


def _check_train_flags(flags: tuple[str, ...], out: Path) -> None:
    """Parse the flags as train does, so that a wrong one is a usage error now and not in every cell."""
    ours = [flag for flag in flags if flag.split("=")[0] in _OURS]
    if ours:
        raise typer.BadParameter(f"{ours[0]} is set by study itself")
    parser = typer.Typer()
    parser.command()(train)
    needed = ("--data", "x", "--model", "x", "--out", str(out))
    typer.main.get_command(parser).make_context("train", [*flags, *needed])
