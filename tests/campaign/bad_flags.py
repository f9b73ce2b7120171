"""Flags that cannot be meant: usage errors (exit code 2), and what only the command itself can refuse (1)."""

from pathlib import Path

from tests.campaign.bad_datasets import train
from tests.campaign.kinds import BadInput, kind
from tests.campaign.materials import Materials, build_arguments


def _usage(name: str, command: tuple[object, ...], says: str) -> None:
    """Register the kind `name`: a command that stops before it does anything."""

    def make(folder: Path, given: Materials) -> BadInput:
        return BadInput(command, says=says, code=2)

    make.__name__ = name
    kind(make)


def _train_flag(name: str, flags: tuple[object, ...], says: str = "", code: int = 1) -> None:
    """Register the kind `name`: a training with these flags."""

    def make(folder: Path, given: Materials) -> BadInput:
        return BadInput(train(given.dataset, folder, *flags), says=says or str(flags[0]), code=code)

    make.__name__ = name
    kind(make)


_BUILD = ("build-tfrecords", "source", "--out", "out")
_usage("flag_unknown_command", ("trian",), "trian")
_usage("flag_unknown", ("train", "--epochs", 3), "--epochs")
_usage("flag_missing", ("train", "--data", "x"), "--model")
_usage("flag_image_size_too_small", (*_BUILD, "--image-size", 3), "--image-size")
_usage("flag_image_size_of_text", (*_BUILD, "--image-size", "big"), "--image-size")
_usage("flag_workers_zero", (*_BUILD, "--workers", 0), "--workers")
_usage("flag_seed_negative", (*_BUILD, "--seed", -1), "--seed")
_usage("flag_folds_one", (*_BUILD, "--folds", 1), "--folds")
_usage("flag_fraction_of_more_than_all", (*_BUILD, "--test-fraction", 1.5), "--test-fraction")
_usage("flag_resize_unknown", (*_BUILD, "--resize", "magic"), "--resize")
_usage(
    "flag_study_seeds_of_text",
    ("study", "--data", "x", "--models", "small-cnn", "--out", "y", "--seeds", "a"),
    "--seeds",
)
_usage("flag_study_with_trains_own", ("study", "--data", "x", "--models", "a", "--out", "y", "--seed", "1"), "--seed")
_train_flag("flag_batch_size_zero", ("--batch-size", 0), code=2)
_train_flag("flag_cache_unknown", ("--cache", "disk"), code=2)
_train_flag("flag_precision_unknown", ("--precision", "float8"), code=2)
_train_flag("flag_model_unknown", ("--model", "resnet50"))
_train_flag("flag_augment_unknown", ("--augment", "magic"))
_train_flag("flag_fold_without_folds", ("--fold", 0))
_train_flag("flag_no_epoch_at_all", ("--phase1-epochs", 0, "--phase2-epochs", 0))
_train_flag("flag_seed_beyond_32_bits", ("--seed", 2**40), code=2)
_train_flag("flag_seed_beyond_64_bits", ("--seed", 2**70), code=2)
_train_flag("flag_contrast_not_a_number", ("--set", "contrast=nan"), says="contrast")
_train_flag("flag_set_unknown_field", ("--set", "lable_smoothing=0"), says="label_smoothing")
_train_flag("flag_set_without_value", ("--set", "ema"), code=2)
_train_flag("flag_config_missing", ("--config", "nowhere.yaml"), code=2)
_train_flag("flag_contrast_infinite", ("--set", "contrast=1e999"), says="contrast")
_train_flag("flag_feature_views_from_scratch", ("--feature-views", 2))
_train_flag("flag_strict_protocol_without_images", ("--protocol", "strict", "--batch-size", 5000), says="--batch-size")


@kind
def flag_build_seed_beyond_32_bits(folder: Path, given: Materials) -> BadInput:
    return BadInput((*build_arguments(given.source, folder / "out"), "--seed", 2**40), says="--seed", code=2)


@kind
def flag_study_model_unknown(folder: Path, given: Materials) -> BadInput:
    command = ("study", "--data", given.dataset, "--models", "resnet", "--out", folder / "out", "--seeds", 0)
    return BadInput(command, says="--model resnet")


@kind
def flag_study_without_models(folder: Path, given: Materials) -> BadInput:
    command = ("study", "--data", given.dataset, "--models", ",", "--out", folder / "out", "--seeds", 0)
    return BadInput(command, says="--models", code=2)
