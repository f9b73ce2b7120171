"""Records beside TensorFlow's own: the same bytes in files, and the same answer to what is damaged."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fastmri_cls.records.example import Example, decode_pixels, parse
from fastmri_cls.records.tfrecord import read_records, write_record

WHOLE = Example(bytes(16), "raw", 4, 1, 2, "glioma", "a", "x/1.png", "0" * 64, 7, True)


def by_tensorflow(record: Example) -> bytes:
    texts = {
        "image/format": record.format, "image/class/text": record.class_name, "image/source": record.source,
        "image/filename": record.filename, "image/sha256": record.sha256,
    }  # fmt: skip
    numbers = {
        "image/height": record.size, "image/width": record.size, "image/channels": record.channels,
        "image/class/label": record.label, "image/group": record.group, "image/clean": int(record.clean),
    }  # fmt: skip
    strings = {name: text.encode() for name, text in texts.items()} | {"image/encoded": record.encoded}
    features = {name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[s])) for name, s in strings.items()}
    features |= {name: tf.train.Feature(int64_list=tf.train.Int64List(value=[n])) for name, n in numbers.items()}
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=300), st.integers(-(2**63), 2**63 - 1), st.text(max_size=20))
def test_a_record_has_the_bytes_that_tensorflow_gives_it(encoded: bytes, number: int, text: str) -> None:
    record = replace(WHOLE, encoded=encoded, group=number, filename=text, clean=False)
    assert record.serialize() == by_tensorflow(record)
    assert parse(record.serialize()) == record


def test_a_file_has_the_bytes_that_tensorflow_writes(tmp_path: Path) -> None:
    records = [b"", b"x", bytes(range(256)) * 9]
    with (tmp_path / "ours").open("wb") as file:
        for record in records:
            write_record(file, record)
    with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as writer:
        for record in records:
            writer.write(record)
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()
    assert list(read_records(tmp_path / "theirs")) == records


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-1], lambda b: b[:7], lambda b: b[:20] + b"?" + b[21:], lambda b: b"\xff" + b[1:]]
)
def test_a_damaged_file_is_noticed(tmp_path: Path, damage) -> None:
    path = tmp_path / "shard"
    with path.open("wb") as file:
        write_record(file, WHOLE.serialize())
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=r"ends within a record|checksum"):
        list(read_records(path))


def without(name: str) -> bytes:
    message = tf.train.Example.FromString(WHOLE.serialize())
    del message.features.feature[name]
    return message.SerializeToString()


def with_two_labels() -> bytes:
    message = tf.train.Example.FromString(WHOLE.serialize())
    message.features.feature["image/class/label"].int64_list.value.append(1)
    return message.SerializeToString()


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (b"\x0a\x85", "parsing"),
        (without("image/group"), "image/group has 0 values"),
        (with_two_labels(), "image/class/label has 2 values"),
    ],
)
def test_a_record_that_is_none_is_named(record: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=f"(?i){reason}"):
        parse(record)


def test_pixels_are_what_was_encoded_and_what_is_no_image_is_named() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (5, 5, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(colours).save(buffer, "PNG")
    np.testing.assert_array_equal(decode_pixels(buffer.getvalue(), "png"), colours)
    for damaged in (buffer.getvalue()[:-60], b"", buffer.getvalue()[:40]):
        with pytest.raises(ValueError, match="is no grey or RGB png"):
            decode_pixels(damaged, "png")
    with pytest.raises(ValueError, match="is no grey or RGB jpeg"):
        decode_pixels(buffer.getvalue(), "jpeg")
