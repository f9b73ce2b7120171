"""The model card, README.md of a RUN, in the form the Hugging Face hub reads (YAML header, Markdown).

Sections after Mitchell et al. 2019, Model Cards for Model Reporting. The prose is in templates/model_card.md.j2.
"""

from typing import Any

from fastmri_cls.foundation.templates import render
from fastmri_cls.report.findings import baseline_findings
from fastmri_cls.report.run_tables import classes_table, counts_table, estimate, protocol_table, sets_table

_FEW = 100  # images of a class; with fewer, a sensitivity of .9 has an interval wider than +-.06

_HUB_METRICS = (("accuracy", "accuracy", "accuracy"), ("roc_auc", "auc_macro", "AUC, mean of classes"))


def model_card(config: dict[str, Any], metrics: dict[str, Any], dataset: dict[str, Any]) -> str:
    """Return the card.

    Args:
        config: config.json of the RUN.
        metrics: metrics.json.
        dataset: what was evaluated: `fingerprint` and `clean` {source: (clean, all)}.
    """
    pooled = metrics["tests"]["pooled"]
    supports = {name: of_class["support"] for name, of_class in pooled["per_class"].items()}
    return render(
        "report/templates/model_card.md.j2",
        header=_header(config, metrics, dataset),
        config=config,
        metrics=metrics,
        dataset=dataset,
        pooled={"calibrated": None} | pooled,
        counts=counts_table(config),
        protocol=protocol_table(config["protocol"]),
        sets=sets_table(metrics),
        classes=classes_table("pooled", pooled),
        findings=baseline_findings({"The model": estimate(pooled, "accuracy")}, metrics["baselines"].get("pooled", {})),
        few=[f"{name} ({support})" for name, support in supports.items() if support < _FEW],
    )


def _header(config: dict[str, Any], metrics: dict[str, Any], dataset: dict[str, Any]) -> dict[str, object]:
    """The metadata of the hub.

    `library_name` is not keras: the hub would tell visitors to load the folder with Keras, which reads a folder of
    another layout. "mean" is no dataset and has no result here.
    """
    results = [
        {
            "task": {"type": "image-classification"},
            "dataset": {"name": test_set, "type": "fastmri-cls", "revision": dataset["fingerprint"]},
            "metrics": [
                {"type": kind, "value": found[metric], "name": name}
                for kind, metric, name in _HUB_METRICS
                if found[metric] is not None
            ],
        }
        for test_set, found in metrics["tests"].items()
        if test_set != "mean"
    ]
    return {
        "license": "other",
        "license_name": "not-chosen",
        "library_name": "fastmri-cls",
        "pipeline_tag": "image-classification",
        "tags": ["medical-imaging", "mri", "fastmri-cls"],
        "metrics": ["accuracy", "roc_auc"],
        "model-index": [{"name": config["model"], "results": results}],
    }
