"""README.md of an exported model: how to feed it, where it comes from, how it was checked, what it is not."""

from typing import Any

from fastmri_cls.export.check import Agreement
from fastmri_cls.export.formats import FORMATS
from fastmri_cls.export.litert import LITERT_FILE
from fastmri_cls.export.onnx import ONNX_FILE
from fastmri_cls.export.saved_model import SAVED_MODEL_VERSION
from fastmri_cls.export.serving import PIXEL_TOLERANCE

_USES = {
    "saved_model": f"""Signatures of `{SAVED_MODEL_VERSION}/`:

- `serving_default`: `image_bytes`, strings [batch]: JPEG, PNG, BMP or GIF files as they are, of any size. They are
  decoded, made {{kind}} and resized ({{resize}}) inside; a pixel differs from training's by at most {PIXEL_TOLERANCE}
  level where it is resized. EXIF orientation is ignored, and 16-bit files are cut to 8 bits, not stretched.
- `pixels`: `image`, float32 [batch, {{size}}, {{size}}, {{channels}}], 0..255.

With TensorFlow Serving:

    tensorflow_model_server --rest_api_port=8501 --model_name=mri --model_base_path=/path/to/this/folder
    curl localhost:8501/v1/models/mri:predict -d '{{{{"instances": [{{{{"b64": "'$(base64 -w0 scan.jpg)'"}}}}]}}}}'
""",
    "onnx": f"""`{ONNX_FILE}`: `image`, float32 [batch, {{size}}, {{size}}, {{channels}}], 0..255,
resized by {{resize}}.
""",
    "litert": f"""`{LITERT_FILE}`, signature `pixels`: `image`, float32 [1, {{size}}, {{size}}, {{channels}}], 0..255,
resized by {{resize}}.
""",
    "litert-dynamic": f"""`{LITERT_FILE}`, signature `pixels`: `image`, float32 [1, {{size}}, {{size}}, {{channels}}],
0..255, resized by {{resize}}. Weights are int8, and so are activations where the runtime can: rounded image by image.
""",
    "litert-int8": f"""`{LITERT_FILE}`, signature `pixels`: `image`, uint8 [1, {{size}}, {{size}}, {{channels}}],
resized by {{resize}}. Weights and activations are int8, but for what a LayerNormalization computes; calibrated on
training images.
""",
}


def export_card(format_: str, config: dict[str, Any], agreement: Agreement) -> str:
    """Return the card in Markdown; `config` is the RUN's config.json."""
    use = _USES[format_].format(
        size=config["image_size"],
        channels=config["channels"],
        kind="grey" if config["channels"] == 1 else "RGB",
        resize=config["dataset"].get("resize", "the dataset's method"),
    )
    return f"""# {config["model"]}, {FORMATS[format_].title}

A classifier of {", ".join(config["classes"])}: `probabilities`, float32 [batch, {len(config["classes"])}], in the order
of `labels.txt`. Preprocessing is inside.

## Use

{use}
## Where it comes from

Trained by fastmri-cls {config["environment"]["fastmri-cls"]}, protocol {config["protocol"]["name"]}, seed
{config["seed"]}, on the dataset with the fingerprint `{config["dataset"]["fingerprint"]}`.

## Check

Run in its own runtime beside the trained model:
{agreement.sentence}
({agreement.tolerance:g} is allowed).

## Limits

Not a medical device: for research, not for diagnosis. How well it does, and on whose images, stands in the report of
the run.
"""
