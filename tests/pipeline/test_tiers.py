"""The cache tiers: the same examples whichever is chosen, each once per epoch, and any step reachable again."""

from collections import Counter

import numpy as np
import pytest
import tensorflow as tf

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.pipeline import tiers
from fastmri_cls.pipeline.batches import EvaluationBatches, SlidingWindowBatches, TrainingBatches
from fastmri_cls.pipeline.examples import Position, Selection, epoch_seed
from fastmri_cls.pipeline.tiers import TIERS, choose_tier, open_examples
from fastmri_cls.records.manifest import read_manifest
from fastmri_cls.records.schema import parse_images

pytestmark = pytest.mark.slow

GIB = 2**30
CLASS_WEIGHTS = (0.5, 1.0, 2.0, 4.0)


@pytest.fixture(params=TIERS)
def examples(request, dataset):
    return open_examples(dataset, read_manifest(dataset), Selection(("train",)), request.param)


def fetched(examples, batches):
    return [{k: np.asarray(v) for k, v in examples.fetch(batch).items()} for batch in batches]


def identities(batches):
    return [
        (image.tobytes(), int(label))
        for batch in batches
        for image, label in zip(batch["image"], batch["label"], strict=True)
    ]


def assert_same(one, two):
    assert len(one) == len(two)
    for a, b in zip(one, two, strict=True):
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])


def test_every_tier_reads_the_shards_in_the_order_written(examples, dataset):
    manifest = read_manifest(dataset)
    records = tf.data.TFRecordDataset([str(dataset / shard.name) for shard in manifest.splits["train"].shards])
    written = []
    for record in records.as_numpy_iterator():
        features = tf.train.Example.FromString(record).features.feature
        encoded, label = (
            features["image/encoded"].bytes_list.value[0],
            features["image/class/label"].int64_list.value[0],
        )
        written.append((encoded, label))  # raw encoding: the pixels as they are
    read = fetched(examples, examples.in_order(7))
    assert identities(read) == written
    assert examples.count == len(written)
    assert read[0]["image"].dtype == np.uint8


def test_an_epoch_holds_each_example_once_and_every_epoch_has_its_own_order(examples):
    batch = 4
    whole = examples.count // batch
    everything = Counter(identities(fetched(examples, examples.in_order(64))))
    orders = []
    for number in range(2):
        seen = identities(fetched(examples, examples.stream(Position(number, 0), batch, seed=1).take(whole)))
        rest = Counter(seen)
        assert sum(rest.values()) == whole * batch
        assert not rest - everything  # nothing twice, nothing foreign
        orders.append(seen)
    assert orders[0] != orders[1]
    assert orders[0] != identities(fetched(examples, examples.in_order(batch)))[: whole * batch]


def test_two_epochs_on_end_hold_each_example_twice(examples):
    steps = 2 * examples.count // 4
    seen = Counter(identities(fetched(examples, examples.stream(Position(0, 0), 4, seed=1).take(steps))))
    assert sum(seen.values()) == 4 * steps
    assert max(seen.values()) == 2


def test_the_seed_decides_the_order(examples):
    tf.random.set_seed(1)
    first = fetched(examples, examples.stream(Position(3, 0), 4, seed=5).take(3))
    tf.random.set_seed(2)  # TensorFlow's own seed must not matter
    again = fetched(examples, examples.stream(Position(3, 0), 4, seed=5).take(3))
    other = fetched(examples, examples.stream(Position(3, 0), 4, seed=6).take(3))
    assert_same(first, again)
    assert identities(first) != identities(other)


@pytest.mark.parametrize("endless", [False, True])
def test_an_epoch_resumed_at_any_step_gives_the_batches_it_would_have_given(examples, endless):
    steps = examples.count // 4 + (5 if endless else 0)
    training = TrainingBatches(examples, 4, steps, CLASS_WEIGHTS, seed=2, endless=endless)
    whole = fetched(examples, training.epoch(1))
    assert len(whole) == steps
    for first_step in (1, 7, steps - 1):
        assert_same(fetched(examples, training.epoch(1, first_step)), whole[first_step:])


@pytest.mark.parametrize("endless", [False, True])
def test_one_iterator_gives_the_batches_of_all_epochs(examples, endless):
    steps = examples.count // 4 + (3 if endless else 0)
    training = TrainingBatches(examples, 4, steps, CLASS_WEIGHTS, seed=2, endless=endless)
    epochs = [batch for epoch in range(3) for batch in fetched(examples, training.epoch(epoch))]
    assert_same(fetched(examples, training.stream(0).take(3 * steps)), epochs)
    assert_same(fetched(examples, training.stream(1, first_step=5).take(steps)), epochs[steps + 5 :][:steps])


def test_whole_epochs_keep_the_smaller_last_batch(examples):
    batch = 5 if examples.count % 5 else 7
    everything = Counter(identities(fetched(examples, examples.in_order(64))))
    batches = fetched(examples, examples.epochs(tf.data.Dataset.range(2, 4), batch, seed=1))
    steps = -(-examples.count // batch)
    assert [len(one["label"]) for one in batches] == 2 * [*[batch] * (steps - 1), examples.count % batch]
    for epoch, part in ((2, batches[:steps]), (3, batches[steps:])):
        assert Counter(identities(part)) == everything
        assert_same(part[:-1], fetched(examples, examples.stream(Position(epoch, 0), batch, seed=1).take(steps - 1)))


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1])
def test_streaming_shuffles_as_tensorflows_own_shuffle_by_both_seeds(dataset, seed):
    """The order of every run that streamed before the seeds were given as tensors."""
    manifest = read_manifest(dataset)
    examples = open_examples(dataset, manifest, Selection(("train", "val")), "none")
    shards = [str(dataset / shard.name) for split in ("train", "val") for shard in manifest.splits[split].shards]
    tf.random.set_seed(seed)
    form = (manifest.image_size, manifest.channels, manifest.encoding)
    expected = []
    for epoch in (0, 5):
        own = epoch_seed(seed, epoch)
        records = tf.data.Dataset.from_tensor_slices(shards).shuffle(len(shards), seed=own)
        records = records.interleave(tf.data.TFRecordDataset, cycle_length=8).shuffle(examples.count, seed=own)
        expected += fetched(examples, records.batch(4).map(lambda batch: parse_images(batch, *form)))
    epochs = tf.data.Dataset.from_tensor_slices(np.array([0, 5]))
    assert_same(fetched(examples, examples.epochs(epochs, 4, seed)), expected)


def test_an_endless_stream_goes_on_where_the_last_epoch_ended(examples):
    count = examples.count
    training = TrainingBatches(examples, 4, count // 4 + 3, CLASS_WEIGHTS, seed=2, endless=True)
    seen = [one for epoch in range(2) for one in identities(fetched(examples, training.epoch(epoch)))]
    everything = Counter(identities(fetched(examples, examples.in_order(64))))
    assert Counter(seen[:count]) == everything
    assert Counter(seen[count : 2 * count]) == everything


def test_training_batches_have_static_shapes_and_their_classes_weights(examples):
    training = TrainingBatches(examples, 4, 3, CLASS_WEIGHTS, seed=0)
    dataset = training.epoch(0)
    assert all(spec.shape[0] == 4 for spec in dataset.element_spec.values())
    for batch in fetched(examples, dataset):
        np.testing.assert_array_equal(batch["weight"], np.array(CLASS_WEIGHTS, np.float32)[batch["label"]])


def test_evaluation_pads_the_last_batch_with_weight_zero(examples):
    batch = 5 if examples.count % 5 else 7
    evaluation = EvaluationBatches(examples, batch)
    batches = fetched(examples, evaluation.epoch(0))
    assert len(batches) == evaluation.count
    assert {len(one["image"]) for one in batches} == {batch}
    weights = np.concatenate([one["weight"] for one in batches])
    np.testing.assert_array_equal(weights, np.arange(len(weights)) < examples.count)
    shown = identities(batches)[: examples.count]
    assert shown == identities(fetched(examples, examples.in_order(64)))


def test_the_sliding_window_goes_on_from_epoch_to_epoch(examples):
    evaluation = EvaluationBatches(examples, 4)
    window = SlidingWindowBatches(evaluation, 2)
    whole = fetched(examples, evaluation.epoch(0)) * 3
    assert_same(fetched(window.examples, window.epoch(2)), whole[6 % evaluation.count :][:2])


def test_one_iterator_gives_the_validation_of_all_epochs(examples):
    evaluation = EvaluationBatches(examples, 4)
    windows = [SlidingWindowBatches(evaluation, count) for count in (2, evaluation.count)]
    for batches in (evaluation, *windows):
        epochs = [batch for epoch in (1, 2, 3) for batch in fetched(batches.examples, batches.epoch(epoch))]
        assert_same(fetched(batches.examples, batches.stream(1).take(3 * batches.count)), epochs)


def test_the_files_of_a_batch_are_those_of_its_images(examples, dataset):
    from fastmri_cls.dataset import Dataset

    training = TrainingBatches(examples, 4, examples.count // 4, CLASS_WEIGHTS, seed=2)
    files = examples.files()
    facts = Dataset(dataset).facts("train")
    assert files == [f"{s}/{f}" for s, f in zip(facts.sources.tolist(), facts.filenames.tolist(), strict=True)]
    owner = dict(zip(files, identities(fetched(examples, examples.in_order(64))), strict=True))
    for epoch, step in ((0, 0), (1, 3)):
        (batch,) = fetched(examples, training.epoch(epoch, step).take(1))
        assert [owner[file] for file in training.files(epoch, step)] == identities([batch])


def test_a_source_can_be_read_alone(dataset):
    manifest = read_manifest(dataset)
    name = manifest.source_names[1]
    streamed, cached = (
        open_examples(dataset, manifest, Selection(("train", "val"), source=name), tier) for tier in ("none", "ram")
    )
    assert streamed.count == sum(manifest.splits[split].per_source[name] for split in ("train", "val"))
    read = identities(fetched(streamed, streamed.in_order(8)))
    assert len(read) == streamed.count
    assert read == identities(fetched(cached, cached.in_order(8)))


@pytest.mark.parametrize(
    ("size", "memory", "accelerator", "tier"),
    [(1, 8, 0, "ram"), (4, 8, 0, "none"), (1, 8, 16, "device"), (9, 64, 16, "ram"), (9, 9, 16, "none")],
)
def test_auto_takes_the_fastest_tier_with_room_and_says_so(monkeypatch, caplog, size, memory, accelerator, tier):
    monkeypatch.setattr(tiers, "free_memory", lambda: memory * GIB)
    monkeypatch.setattr(tiers, "free_gpu_memory", lambda: accelerator * GIB)
    caplog.set_level("INFO", tiers.log.name)
    assert choose_tier("auto", size * GIB) == tier
    assert f"cache: {tier}" in caplog.text


def test_a_tier_that_does_not_fit_is_refused_with_the_figures(monkeypatch):
    monkeypatch.setattr(tiers, "free_memory", lambda: 2 * GIB)
    with pytest.raises(UserError, match=r"--cache ram: the decoded images take 3.0 GiB, 2.0 GiB are free"):
        choose_tier("ram", 3 * GIB)
    assert choose_tier("none", 3 * GIB) == "none"
    assert choose_tier("ram", 1 * GIB) == "ram"
