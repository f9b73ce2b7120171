"""The record of one image as a `tf.train.Example`, written and read without TensorFlow.

The feature names follow TensorFlow's image conventions (`image/encoded`, ...). Raw encoding is row-major uint8. The
messages are those of tensorflow/core/example/{example,feature}.proto.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from PIL import Image

_PACKAGE = "tensorflow"
_MODES = {"L": 1, "RGB": 3}  # Pillow's, with their channels


@dataclass(frozen=True)
class Example:
    """One record: the stored image and its facts.

    Attributes:
        encoded: the pixels, uint8 [size, size, channels], in `format`.
        format: raw, png or jpeg.
        size: height and width in pixels.
        channels: 1 (grey) or 3 (RGB).
        label: index into the dataset's classes.
        class_name: name of the class.
        source: name of the source.
        filename: path relative to the source's folder.
        sha256: hash of the decoded source pixels.
        group: images with the same number are duplicates of each other or belong to one patient.
        clean: whether no training or validation image is in the group.
    """

    encoded: bytes
    format: str
    size: int
    channels: int
    label: int
    class_name: str
    source: str
    filename: str
    sha256: str
    group: int
    clean: bool

    def serialize(self) -> bytes:
        """Return the record as a serialized `tf.train.Example`."""
        features: dict[str, bytes | int] = {
            "image/encoded": self.encoded,
            "image/format": self.format.encode(),
            "image/height": self.size,
            "image/width": self.size,
            "image/channels": self.channels,
            "image/class/label": self.label,
            "image/class/text": self.class_name.encode(),
            "image/source": self.source.encode(),
            "image/filename": self.filename.encode(),
            "image/sha256": self.sha256.encode(),
            "image/group": self.group,
            "image/clean": int(self.clean),
        }
        message = _Message()
        for name, value in features.items():
            feature = message.features.feature[name]
            (feature.bytes_list if isinstance(value, bytes) else feature.int64_list).value.append(value)
        # Protocol buffers promise no order for maps; deterministic serialization makes equal inputs equal bytes.
        serialized: bytes = message.SerializeToString(deterministic=True)
        return serialized


def parse(serialized: bytes) -> Example:
    """Return the record that `Example.serialize` wrote.

    Raises:
        ValueError: it is no such record.
    """
    try:
        features = _Message.FromString(serialized).features.feature
    except DecodeError as error:
        raise ValueError(str(error)) from None

    def one(name: str, kind: str) -> Any:
        values: Sequence[Any] = getattr(features[name], kind).value if name in features else ()
        if len(values) != 1:
            raise ValueError(f"{name} has {len(values)} values of its type in place of one")
        return values[0]

    def text(name: str) -> str:
        value: bytes = one(name, "bytes_list")
        return value.decode()

    def number(name: str) -> int:
        return int(one(name, "int64_list"))

    if number("image/height") != number("image/width"):
        raise ValueError("image/height and image/width differ")
    return Example(
        encoded=one("image/encoded", "bytes_list"),
        format=text("image/format"),
        size=number("image/height"),
        channels=number("image/channels"),
        label=number("image/class/label"),
        class_name=text("image/class/text"),
        source=text("image/source"),
        filename=text("image/filename"),
        sha256=text("image/sha256"),
        group=number("image/group"),
        clean=bool(number("image/clean")),
    )


def decode_pixels(encoded: bytes, encoding: str) -> np.ndarray:
    """Return the pixels of an encoded image: uint8 [height, width, channels], or [bytes] if `encoding` is raw.

    Raises:
        ValueError: the bytes are no such image.
    """
    if encoding == "raw":
        return np.frombuffer(encoded, np.uint8)
    try:
        with Image.open(io.BytesIO(encoded), formats=[encoding.upper()]) as image:
            pixels = np.asarray(image)
            channels = _MODES[image.mode]
    except (OSError, SyntaxError, KeyError, Image.DecompressionBombError) as error:
        raise ValueError(f"image/encoded is no grey or RGB {encoding} ({error})") from None
    return pixels.reshape(*pixels.shape[:2], channels)


def _define_messages() -> Any:
    """Return the class of `Example`, in a pool of its own: TensorFlow, if it is imported, has defined another."""
    file = descriptor_pb2.FileDescriptorProto(name="example.proto", package=_PACKAGE, syntax="proto3")
    field = descriptor_pb2.FieldDescriptorProto

    def message(name: str, *fields: tuple[str, int, int, str]) -> descriptor_pb2.DescriptorProto:
        defined: descriptor_pb2.DescriptorProto = file.message_type.add(name=name)
        for number, (field_name, label, kind, of) in enumerate(fields, 1):
            added = defined.field.add(name=field_name, number=number, label=label, type=kind)
            if of:
                added.type_name = f".{_PACKAGE}.{of}"
        return defined

    one, many = field.LABEL_OPTIONAL, field.LABEL_REPEATED
    message("BytesList", ("value", many, field.TYPE_BYTES, ""))
    message("FloatList", ("value", many, field.TYPE_FLOAT, ""))
    message("Int64List", ("value", many, field.TYPE_INT64, ""))
    kinds = ("bytes_list", "BytesList"), ("float_list", "FloatList"), ("int64_list", "Int64List")
    feature = message("Feature", *((name, one, field.TYPE_MESSAGE, of) for name, of in kinds))
    feature.oneof_decl.add(name="kind")
    for member in feature.field:
        member.oneof_index = 0
    features = message("Features", ("feature", many, field.TYPE_MESSAGE, "Features.FeatureEntry"))
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=one, type=field.TYPE_STRING)
    entry.field.add(name="value", number=2, label=one, type=field.TYPE_MESSAGE, type_name=f".{_PACKAGE}.Feature")
    message("Example", ("features", one, field.TYPE_MESSAGE, "Features"))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Example"))


_Message = _define_messages()
