"""The model card, README.md of a RUN, in the form the Hugging Face hub reads (YAML header, Markdown).

Sections after Mitchell et al. 2019, Model Cards for Model Reporting.
"""

import json
from typing import Any

from fastmri_cls.report.tables import number
from fastmri_cls.report.text_tables import Cell, Estimate, Table, to_markdown

_FEW = 100  # images of a class; with fewer, a sensitivity of .9 has an interval wider than +-.06


def model_card(config: dict[str, Any], metrics: dict[str, Any], dataset: dict[str, Any]) -> str:
    """Return the card.

    Args:
        config: the RUN's config.json. metrics: metrics.json.
        dataset: of what was evaluated: `path`, `split`, `clean` {source: (clean, all)}, `fingerprint`.
    """
    parts = [
        *_header(config, metrics, dataset),
        f"# {config['model']} for {', '.join(config['classes'])}",
        "",
        f"An image classifier of {len(config['classes'])} classes, trained by fastmri-cls with protocol "
        f"`{config['protocol']['name']}`, seed {config['seed']}.",
        "",
        "> **Not a medical device.** A research result. It has not been validated for diagnosis, triage or any other "
        "clinical use and must not be used for one.",
        "",
        "## Use",
        "",
        f"`model.keras` takes images as they are, 0..255, [batch, {config['image_size']}, {config['image_size']}, "
        f"{config['channels']}] (preprocessing is inside), and gives a probability for each class in the order "
        f"{', '.join(config['classes'])}. `report.html` has the figures, `predictions.csv` every test image.",
        "",
        "## Training data",
        "",
        f"Dataset fingerprint `{config['dataset']['fingerprint']}`, split `{config['dataset']['split']}`.",
        "",
        to_markdown(_counts(config)),
        f"Weights at the start: {_weights(config)}.",
        "",
        "## Protocol",
        "",
        to_markdown(_protocol(config)),
        "## Evaluation",
        "",
        f"On the test sets of the dataset with fingerprint `{dataset['fingerprint']}`. Brackets: 95 % interval, "
        "bootstrap over groups of copies, stratified by class.",
        "",
        to_markdown(_sets(metrics)),
        to_markdown(_classes(config, metrics)),
        *_calibration(metrics),
        "## Limits",
        "",
        *(f"- {limit}" for limit in _limits(config, metrics, dataset)),
        "",
        "## How it was made",
        "",
        f"fastmri-cls {config['environment']['fastmri-cls']}, "
        + ", ".join(f"{name} {version}" for name, version in config["environment"]["packages"].items())
        + f", Python {config['environment']['python']}, on {config['environment']['processor']}; precision "
        f"{config['precision']}, {metrics['timing']['epochs']} epochs, "
        f"{metrics['timing']['training_seconds']:.0f} s. Every option stands in `config.json`.",
        "",
    ]
    return "\n".join(parts)


def _header(config: dict[str, Any], metrics: dict[str, Any], dataset: dict[str, Any]) -> list[str]:
    """The hub's metadata; JSON is valid YAML, and quotes what needs it."""
    results = [
        {
            "task": {"type": "image-classification"},
            "dataset": {"name": name, "type": "fastmri-cls", "revision": dataset["fingerprint"]},
            "metrics": [
                {"type": "accuracy", "value": found["accuracy"]},
                {"type": "roc_auc", "name": "AUC, mean of classes", "value": found["auc_macro"]},
            ],
        }
        for name, found in metrics["tests"].items()
    ]
    fields = {
        "library_name": "keras",
        "pipeline_tag": "image-classification",
        "tags": ["medical-imaging", "mri", "fastmri-cls"],
        "metrics": ["accuracy", "roc_auc"],
        "model-index": [{"name": config["model"], "results": results}],
    }
    return ["---", *(f"{name}: {json.dumps(value)}" for name, value in fields.items()), "---", ""]


def _counts(config: dict[str, Any]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (split, *(per_class.get(c, 0) for c in config["classes"]), sum(per_class.values()))
        for split, per_class in config["dataset"]["per_class"].items()
    ]
    return Table("counts", "Images", ("split", *config["classes"], "all"), rows)


def _protocol(config: dict[str, Any]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, value in config["protocol"].items():
        shown = ", ".join(f"{key} {v}" for key, v in value.items()) if isinstance(value, dict) else str(value)
        rows.append((name.replace("_", " "), shown))
    return Table("protocol", "Protocol", ("option", "value"), rows)


def _sets(metrics: dict[str, Any]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (
            name,
            found["n"],
            Estimate(found["accuracy"], found["ci95"]["accuracy"]),
            Estimate(found["auc_macro"], found["ci95"]["auc_macro"]),
            found["balanced_accuracy"],
            found["kappa"],
        )
        for name, found in metrics["tests"].items()
    ]
    for name, value in metrics.get("baselines", {}).get("pooled", {}).items():
        rows.append((f"{name} (pooled, learns nothing)", None, value, None, None, None))
    return Table("sets", "Test sets", ("test set", "images", "accuracy", "AUC", "balanced accuracy", "kappa"), rows)


def _classes(config: dict[str, Any], metrics: dict[str, Any]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name in config["classes"]:
        found = metrics["tests"]["pooled"]["per_class"][name]
        rows.append(
            (
                name,
                found["support"],
                *(Estimate(found[metric], found["ci95"][metric]) for metric in ("recall", "specificity", "auc")),
            )
        )
    return Table("classes", "Classes, pooled", ("class (pooled)", "images", "sensitivity", "specificity", "AUC"), rows)


def _calibration(metrics: dict[str, Any]) -> list[str]:
    pooled = metrics["tests"]["pooled"]
    if "calibrated" not in pooled:
        return ["Probabilities are not calibrated: there was no validation set to fit a temperature on.", ""]
    return [
        f"Calibration on all test images: expected calibration error {number(pooled['ece'])} as trained, "
        f"{number(pooled['calibrated']['ece'])} after temperature scaling with {metrics['temperature']:.3f} (fitted on "
        "validation, in `calibration.json` with each class's operating point).",
        "",
    ]


def _limits(config: dict[str, Any], metrics: dict[str, Any], dataset: dict[str, Any]) -> list[str]:
    limits = [
        "It knows these classes only and gives one of them for any image whatsoever.",
        "It was evaluated on images of the sources named above; other scanners, sequences and populations may differ.",
        f"One run with seed {config['seed']}: another seed gives other numbers, which the intervals do not cover.",
    ]
    leaking = {name: (n - clean, n) for name, (clean, n) in dataset["clean"].items() if clean < n}
    limits += [
        f"{copies} of {n} test images of {name} have a copy in training or validation: accuracy on them says little "
        "about new patients."
        for name, (copies, n) in leaking.items()
    ]
    small = [
        f"{name} ({found['support']})"
        for name, found in metrics["tests"]["pooled"]["per_class"].items()
        if found["support"] < _FEW
    ]
    if small:
        limits.append(f"Few test images of {', '.join(small)}: wide intervals.")
    return [
        *limits,
        "Groups are copies of an image; slices of one patient may be in several splits without patient ids.",
    ]


def _weights(config: dict[str, Any]) -> str:
    loaded = config["loaded_weights"]
    return f"{loaded['path']} (sha256 `{loaded['sha256']}`)" if loaded else "none, trained from scratch"
