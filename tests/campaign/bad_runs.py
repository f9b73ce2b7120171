"""RUN folders that are not as train and evaluate left them, for evaluate, predict, export, compare and --resume."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.campaign.bad_datasets import flip, train
from tests.campaign.bad_weights import CUSTOM_CODE, LAMBDA, keras_archive
from tests.campaign.kinds import BadInput, kind
from tests.campaign.materials import Materials, copy, save_image
from tests.campaign.runner import Conditions

Damage = Callable[[Path, Materials], object]


def _run_kind(name: str, damage: Damage, command: Callable[[Path, Path, Materials], tuple[object, ...]], says: str):
    """Register the kind `name`: a command on a RUN after `damage`."""

    def make(folder: Path, given: Materials) -> BadInput:
        run = copy(given.run, folder / "run")
        damage(run, given)
        return BadInput(command(run, folder, given), says=says)

    make.__name__ = name
    kind(make)


def _evaluate(run: Path, folder: Path, given: Materials) -> tuple[object, ...]:
    return ("evaluate", run, "--data", given.dataset, "--out", folder / "out")


def _predict(run: Path, folder: Path, given: Materials) -> tuple[object, ...]:
    return ("predict", run, given.source / "Testing" / "glioma", "--out", folder / "out.csv")


def _predict_calibrated(run: Path, folder: Path, given: Materials) -> tuple[object, ...]:
    return (*_predict(run, folder, given), "--calibrated")


def _export(run: Path, folder: Path, given: Materials) -> tuple[object, ...]:
    return ("export", run, "--format", "saved_model", "--out", folder / "out")


def _compare(run: Path, folder: Path, given: Materials) -> tuple[object, ...]:
    return ("compare", run, given.second, "--out", folder / "out")


def _resume(run: Path, folder: Path, given: Materials) -> tuple[object, ...]:
    return (*train(given.dataset, folder), "--deterministic", "--resume")


def _config(change: Callable[[dict[str, Any]], object]) -> Damage:
    def damage(run: Path, given: Materials) -> None:
        content = json.loads((run / "config.json").read_text())
        change(content)
        (run / "config.json").write_text(json.dumps(content))

    return damage


def _write(name: str, content: str | bytes) -> Damage:
    data = content.encode() if isinstance(content, str) else content
    return lambda run, _: (run / name).write_bytes(data)


def _first_line_only(name: str) -> Damage:
    return lambda run, _: (run / name).write_text((run / name).read_text().splitlines()[0] + "\n")


def _replace(name: str, old: str, new: str) -> Damage:
    return lambda run, _: (run / name).write_text((run / name).read_text().replace(old, new, 1))


def _archive(config: dict[str, object], names: tuple[str, ...] = ()) -> Damage:
    """A model.keras of this make in a RUN without checksums.json, so that Keras itself meets it."""

    def damage(run: Path, given: Materials) -> None:
        (run / "checksums.json").unlink(missing_ok=True)
        keras_archive(config, names)(run / "model.keras", given)

    return damage


_run_kind("run_without_config", lambda r, _: (r / "config.json").unlink(), _evaluate, "config.json")
_run_kind("run_config_empty", _write("config.json", ""), _evaluate, "config.json")
_run_kind("run_config_a_list", _write("config.json", "[]"), _predict, "config.json")
_run_kind("run_config_deep", _write("config.json", "[" * 10**5), _predict, "config.json")
_run_kind("run_config_without_model", _config(lambda c: c.pop("model")), _compare, "config.json")
_run_kind("run_config_with_text_for_classes", _config(lambda c: c.update(classes="glioma")), _predict, "config.json")
_run_kind("run_config_with_a_class_less", _config(lambda c: c["classes"].pop()), _predict, "config.json")
_run_kind("run_config_with_classes_swapped", _config(lambda c: c["classes"].reverse()), _predict, "config.json")
_run_kind("run_config_with_another_size", _config(lambda c: c.update(image_size=64)), _predict, "config.json")
_run_kind("run_config_with_a_huge_size", _config(lambda c: c.update(image_size=10**9)), _export, "config.json")
_run_kind("run_config_with_text_for_a_number", _config(lambda c: c.update(channels="one")), _predict, "config.json")
_run_kind(
    "run_config_with_an_unknown_resize", _config(lambda c: c["dataset"].update(resize="magic")), _predict, "config.json"
)
_run_kind("run_config_without_protocol", _config(lambda c: c.update(protocol=None)), _compare, "config.json")
_run_kind("run_config_with_another_seed", _config(lambda c: c.update(seed=7)), _resume, "config.json")
_run_kind("run_without_model", lambda r, _: (r / "model.keras").unlink(), _evaluate, "model.keras")
_run_kind("run_model_empty", _write("model.keras", b""), _predict, "model.keras")
_run_kind("run_model_of_text", _write("model.keras", "model"), _export, "model.keras")
_run_kind("run_model_with_a_flipped_bit", lambda r, _: flip(r / "model.keras", 0.6), _evaluate, "model.keras")
_run_kind("run_model_with_a_lambda", _archive(LAMBDA), _predict, "model.keras")
_run_kind("run_model_with_custom_code", _archive(CUSTOM_CODE), _predict, "model.keras")
_run_kind("run_model_of_another_run", lambda r, g: shutil.copy(g.second / "model.keras", r), _evaluate, "model.keras")
_run_kind("run_history_empty", _write("history.csv", ""), _evaluate, "history.csv")
_run_kind("run_history_of_text", _write("history.csv", "nothing\nmuch\n"), _evaluate, "history.csv")
_run_kind("run_history_edited", _replace("history.csv", "0.", "1."), _compare, "history.csv")
_run_kind("run_predictions_missing", lambda r, _: (r / "predictions.csv").unlink(), _compare, "predictions.csv")
_run_kind("run_predictions_empty", _write("predictions.csv", ""), _compare, "predictions.csv")
_run_kind("run_predictions_header_alone", _first_line_only("predictions.csv"), _compare, "predictions.csv")
_run_kind("run_predictions_of_text", _write("predictions.csv", "a,b\n1,2\n"), _compare, "predictions.csv")
_run_kind("run_predictions_edited", _replace("predictions.csv", "0.", "0.1"), _compare, "predictions.csv")
_run_kind("run_predictions_not_utf8", _write("predictions.csv", b"\xff\xfe\0"), _compare, "predictions.csv")
_run_kind("run_metrics_missing", lambda r, _: (r / "metrics.json").unlink(), _compare, "metrics.json")
_run_kind("run_metrics_empty", _write("metrics.json", ""), _compare, "metrics.json")
_run_kind("run_metrics_edited", _replace("metrics.json", '"ece": 0', '"ece": 1'), _compare, "metrics.json")
_run_kind("run_calibration_of_text", _write("calibration.json", "warm"), _predict_calibrated, "calibration.json")
_run_kind("run_calibration_edited", _replace("calibration.json", "0.", "1."), _predict_calibrated, "calibration.json")
_run_kind("run_ood_reference_of_bytes", _write("ood_reference.npz", b"\0" * 99), _predict, "ood_reference.npz")
_run_kind(
    "run_ood_reference_flipped_bit", lambda r, _: flip(r / "ood_reference.npz", 0.5), _predict, "ood_reference.npz"
)
_run_kind("run_checksums_empty", _write("checksums.json", ""), _predict, "checksums.json")


@kind
def run_model_with_path_traversal_plants_nothing(folder: Path, given: Materials) -> BadInput:
    run = copy(given.run, folder / "a" / "b" / "run")
    _archive({}, ("../planted", "../../planted", str(folder / "planted")))(run, given)
    return BadInput(_predict(run, folder, given), code=0, makes=("out.csv",))


@kind
def run_not_there(folder: Path, given: Materials) -> BadInput:
    return BadInput(_evaluate(folder / "absent", folder, given), says="absent")


@kind
def run_that_is_there_already(folder: Path, given: Materials) -> BadInput:
    copy(given.run, folder / "run")
    return BadInput(train(given.dataset, folder), says="--resume")


@kind
def run_begun_with_another_dataset(folder: Path, given: Materials) -> BadInput:
    copy(given.run, folder / "run")
    return BadInput((*train(given.other, folder), "--resume"), says="another dataset")


@kind
def run_folder_that_is_a_file(folder: Path, given: Materials) -> BadInput:
    (folder / "run").write_text("mine")
    return BadInput(train(given.dataset, folder), says="run")


@kind
def run_folder_of_other_things(folder: Path, given: Materials) -> BadInput:
    (folder / "run").mkdir()
    (folder / "run" / "thesis.doc").write_text("mine")
    return BadInput((*train(given.dataset, folder), "--resume"), says="exists already")


@kind
def run_that_may_not_be_written(folder: Path, given: Materials) -> BadInput:
    run = copy(given.run, folder / "run")
    run.chmod(0o555)
    command = ("evaluate", run, "--data", given.dataset)
    return BadInput(command, says=str(run), conditions=Conditions(nobody=True))


@kind
def run_in_a_folder_that_may_not_be_written(folder: Path, given: Materials) -> BadInput:
    (folder / "locked").mkdir(mode=0o555)
    bad = train(given.dataset, folder / "locked")
    return BadInput(bad, says="locked", conditions=Conditions(nobody=True))


@kind
def compare_of_a_run_with_its_copy(folder: Path, given: Materials) -> BadInput:
    run = copy(given.run, folder / "run")
    return BadInput(("compare", run, given.run, "--out", folder / "out"), says="leave one out")


@kind
def compare_into_other_things(folder: Path, given: Materials) -> BadInput:
    (folder / "out").mkdir()
    (folder / "out" / "thesis.doc").write_text("mine")
    return BadInput(("compare", given.run, "--out", folder / "out"), says="is not a comparison")


@kind
def export_over_a_folder(folder: Path, given: Materials) -> BadInput:
    (folder / "out").mkdir()
    (folder / "out" / "thesis.doc").write_text("mine")
    return BadInput(_export(given.run, folder, given), says="exists already")


@kind
def export_without_its_dataset(folder: Path, given: Materials) -> BadInput:
    command = (*_export(given.run, folder, given), "--data", folder / "absent")
    return BadInput(command, says="absent")


@kind
def predict_into_a_folder(folder: Path, given: Materials) -> BadInput:
    (folder / "out").mkdir()
    image = save_image(*_image(folder))
    return BadInput(("predict", given.run, image, "--out", folder / "out"), says="out")


@kind
def predict_overlays_over_a_folder(folder: Path, given: Materials) -> BadInput:
    (folder / "heat").mkdir()
    (folder / "heat" / "thesis.doc").write_text("mine")
    image = save_image(*_image(folder))
    command = ("predict", given.run, image, "--out", folder / "out.csv", "--gradcam", folder / "heat")
    return BadInput(command, says="heat")


def _image(folder: Path):
    import numpy as np

    return np.zeros((32, 32), np.uint8), folder / "image.png"
