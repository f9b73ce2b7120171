"""Bad targets of build-tfrecords, and what audit cannot work on or write over."""

from pathlib import Path

from tests.campaign.kinds import BadInput, kind
from tests.campaign.materials import Materials, build_arguments, copy
from tests.campaign.runner import Conditions


@kind
def out_is_a_file(folder: Path, given: Materials) -> BadInput:
    (folder / "out").write_text("mine")
    return BadInput(build_arguments(given.source, folder / "out"), says="out: is a file")


@kind
def out_holds_something(folder: Path, given: Materials) -> BadInput:
    (folder / "out").mkdir()
    (folder / "out" / "thesis.doc").write_text("mine")
    return BadInput(build_arguments(given.source, folder / "out"), says="exists already")


@kind
def out_holds_something_and_force(folder: Path, given: Materials) -> BadInput:
    (folder / "out").mkdir()
    (folder / "out" / "thesis.doc").write_text("mine")
    return BadInput(build_arguments(given.source, folder / "out", "--force"), says="--force replaces a dataset")


@kind
def out_below_a_file(folder: Path, given: Materials) -> BadInput:
    (folder / "file").write_text("mine")
    return BadInput(build_arguments(given.source, folder / "file" / "out"), says="file")


@kind
def out_in_the_source(folder: Path, given: Materials) -> BadInput:
    source = copy(given.source, folder / "source")
    return BadInput(build_arguments(source, source / "Training" / "out"), says="--out")


@kind
def out_may_not_be_written(folder: Path, given: Materials) -> BadInput:
    (folder / "locked").mkdir(mode=0o555)
    command = build_arguments(given.source, folder / "locked" / "out")
    return BadInput(command, says="locked", conditions=Conditions(nobody=True))


@kind
def audit_of_no_image(folder: Path, given: Materials) -> BadInput:
    (folder / "source" / "a").mkdir(parents=True)
    (folder / "source" / "a" / "x.png").write_text("text")
    return BadInput(("audit", folder / "source", "--out", folder / "out", "--workers", 1), says="a/x.png")


@kind
def audit_over_other_things(folder: Path, given: Materials) -> BadInput:
    (folder / "out").mkdir()
    (folder / "out" / "thesis.doc").write_text("mine")
    command = ("audit", given.source, "--out", folder / "out", "--workers", 1, "--force")
    return BadInput(command, says="--force replaces")


@kind
def audit_of_a_dataset_and_a_source(folder: Path, given: Materials) -> BadInput:
    return BadInput(("audit", given.dataset, given.source, "--out", folder / "out"), says="is a dataset folder")
