"""The trainer's options: each is Keras' own, alone and together, through averaging, resuming and feature views."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest

from fastmri_cls.augment.policies import make_augmentation
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.models import backbones
from fastmri_cls.models.backbones import unfreeze_each, unfrozen_layers
from fastmri_cls.runs.protocol import OPTIMIZERS, resolve_protocol
from fastmri_cls.training.callbacks import AveragedWeights
from fastmri_cls.training.engine import Engine, StepOptions
from fastmri_cls.training.optimizers import make_optimizer
from tests.training.test_engine import BATCH, CLASSES, STEPS, Logs, batches, small_model

pytestmark = pytest.mark.slow

EPOCHS = 3


def trained(model: keras.Model, *more: keras.callbacks.Callback) -> list[dict[str, float]]:
    logs = Logs()
    engine = Engine(model, make_augmentation("none"), StepOptions(CLASSES, 0.1, 0, xla=False))
    engine.fit(batches(0), batches(1, weights=(1.0, 1.0, 1.0)), EPOCHS, [logs, *more])
    return logs.rows


def as_keras_fits(model: keras.Model, *callbacks: keras.callbacks.Callback) -> dict[str, list[float]]:
    training, validation = batches(0), batches(1)
    one_hot = [keras.utils.to_categorical(b.labels, CLASSES) for b in (training, validation)]
    history = model.fit(
        training.images.astype(np.float32), one_hot[0], batch_size=BATCH, sample_weight=training.weights, shuffle=False,
        validation_data=(validation.images.astype(np.float32), one_hot[1]), epochs=EPOCHS, verbose=0,
        callbacks=list(callbacks),
    )  # fmt: skip
    return history.history


def smoothed() -> keras.losses.Loss:
    return keras.losses.CategoricalCrossentropy(label_smoothing=0.1)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_by_its_name_is_keras_own_with_its_defaults(name):
    made = make_optimizer(1e-3, "float32", resolve_protocol("strict", {"optimizer": name}))
    own = next(one for one in vars(keras.optimizers).values() if getattr(one, "__name__", "").lower() == name)
    assert made.get_config() == own(learning_rate=1e-3, name=made.name).get_config()


def test_all_options_together_train_as_keras_fit_does_and_the_model_holds_the_averages():
    chosen = {"optimizer": "lion", "schedule": "cosine", "ema": True, "clip_norm": 0.5, "accumulate": 2}
    ours = small_model()
    ours.compile(make_optimizer(1e-2, "float32", resolve_protocol("strict", chosen), EPOCHS * STEPS))
    stopping = keras.callbacks.EarlyStopping("val_accuracy", mode="max", restore_best_weights=True, patience=9)
    rows = trained(ours, stopping, AveragedWeights())

    theirs = small_model()
    cosine = keras.optimizers.schedules.CosineDecay(1e-2, EPOCHS * STEPS, alpha=1e-7 / 1e-2)
    lion = keras.optimizers.Lion(cosine, use_ema=True, global_clipnorm=0.5, gradient_accumulation_steps=2)
    theirs.compile(lion, smoothed(), metrics=["accuracy"])
    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    best = keras.callbacks.EarlyStopping("val_accuracy", mode="max", restore_best_weights=True, patience=9)
    history = as_keras_fits(theirs, swap, best)

    for name in ("loss", "val_loss", "val_accuracy"):
        np.testing.assert_allclose([row[name] for row in rows], history[name], rtol=1e-4, err_msg=name)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_averaging_changes_what_is_validated_and_saved_but_not_what_is_trained():
    plain, averaged = small_model(), small_model()
    plain.compile(make_optimizer(1e-2, "float32"))
    averaged.compile(make_optimizer(1e-2, "float32", resolve_protocol("strict", {"ema": True})))
    without, with_average = trained(plain), trained(averaged, AveragedWeights())
    assert [row["loss"] for row in without] == [row["loss"] for row in with_average]
    assert [row["val_loss"] for row in without] != [row["val_loss"] for row in with_average]
    for a, b in zip(plain.get_weights(), averaged.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_learning_rate_is_phase_1s_and_phase_2_keeps_its_proportion():
    protocol = resolve_protocol("strict", {"learning_rate": 3e-3, "phase2_epochs": 4})
    assert protocol.phase1.learning_rate == 3e-3
    assert protocol.phase2.learning_rate == pytest.approx(3e-4)
    assert protocol.phase2.max_epochs == 4


def test_a_given_learning_rate_holds_from_scratch_too():
    assert resolve_protocol("strict", {}).scratch_factor == 10
    assert resolve_protocol("strict", {"learning_rate": 3e-3}).scratch_factor == 1


def test_an_unknown_optimizer_is_named_with_the_known_ones():
    with pytest.raises(UserError, match=r"--optimizer adamm: unknown.*adamw"):
        resolve_protocol("strict", {"optimizer": "adamm"})


def test_unfreeze_takes_the_first_trained_layer_by_name():
    base = keras.applications.DenseNet121(include_top=False, weights=None, input_shape=(32, 32, 3))
    assert unfrozen_layers(base, "conv5_block5_0_relu") == unfrozen_layers(base, 0.2)
    with pytest.raises(UserError, match=r"--unfreeze conv5_blok5_0_relu: densenet121 has no.*conv5_block5_0_relu"):
        unfreeze_each([base], "conv5_blok5_0_relu")


# Three trainings in one process: left alone, stopped dead after some checkpoint of each phase, and gone on with.
RESUMED = """
import json, sys
from dataclasses import replace
from pathlib import Path
import numpy as np, keras
from fastmri_cls.training import checkpoint, loops
checkpoint._SECONDS_BETWEEN = 0.0
loops.STEPS_PER_CALL = 2, 2
from fastmri_cls.runs.options import TrainOptions
from fastmri_cls.runs.protocol import resolve_protocol
from fastmri_cls.training.run import train

data, folder, views, weights, *kills = sys.argv[1:]
recipe = {"optimizer": "lion", "schedule": "cosine", "ema": True, "clip_norm": 1.0, "accumulate": 3,
          "phase1_epochs": 2, "phase2_epochs": 2, "batch_size": 16, "unfreeze": 0.4}
folder = Path(folder)
alone = TrainOptions(Path(data), "small-cnn", folder / "alone", resolve_protocol("strict", recipe), weights=weights,
                     feature_views=int(views), precision="float32", xla="off", deterministic=True, resume=True)
train(alone)
interrupted = replace(alone, out=folder / "interrupted")
save = checkpoint.Checkpoints.save
for kill in map(int, kills):
    left = [kill]
    def stop_dead(self, make, *, force=False):
        save(self, make, force=force)
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
    checkpoint.Checkpoints.save = stop_dead
    try:
        train(interrupted)
        raise SystemExit("was not interrupted")
    except KeyboardInterrupt:
        pass
checkpoint.Checkpoints.save = save
train(interrupted)
models = [keras.models.load_model(folder / name / "model.keras") for name in ("alone", "interrupted")]
history = [(folder / name / "history.csv").read_text().splitlines() for name in ("alone", "interrupted")]
rows = [[line.rsplit(",", 2)[0] for line in lines] for lines in history]  # without times
same = [np.array_equal(a, b) for a, b in zip(*(model.get_weights() for model in models), strict=True)]
print(json.dumps({"weights": all(same), "history": rows[0] == rows[1], "rows": len(rows[0])}))
"""


def test_an_interrupted_run_on_feature_views_with_all_options_ends_in_the_same_bits(dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("FASTMRI_CLS_CACHE", str(tmp_path / "cache"))
    keras.utils.set_random_seed(0)
    backbones.small_cnn((64, 64, 1)).save_weights(tmp_path / "small.weights.h5")
    command = [sys.executable, "-c", RESUMED, str(dataset), str(tmp_path), "2", str(tmp_path / "small.weights.h5")]
    result = subprocess.run([*command, "3", "12"], capture_output=True, text=True, timeout=280, check=False)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout.splitlines()[-1]) == {"weights": True, "history": True, "rows": 5}
