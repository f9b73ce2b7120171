"""The model card, README.md of a RUN, in the form the Hugging Face hub reads (YAML header, Markdown).

Sections after Mitchell et al. 2019, Model Cards for Model Reporting. The prose is in templates/model_card.md.j2.
"""

from fastmri_cls.evaluation.sets import MEAN, POOLED
from fastmri_cls.foundation.templates import render
from fastmri_cls.report.evaluated import EvaluatedData
from fastmri_cls.report.findings import first_sentence, run_findings
from fastmri_cls.report.run_tables import classes_table, counts_table, protocol_table, sets_table
from fastmri_cls.runs.config import RunConfig
from fastmri_cls.runs.metrics import RunMetrics
from fastmri_cls.runs.train_file import train_command

_FEW = 100  # images of a class; with fewer, a sensitivity of .9 has an interval wider than +-.06


def model_card(config: RunConfig, metrics: RunMetrics, evaluated: EvaluatedData) -> str:
    """Return the card.

    Args:
        config: of the RUN.
        metrics: of the evaluation.
        evaluated: the dataset that was evaluated.
    """
    pooled = metrics[POOLED]
    return render(
        "report/templates/model_card.md.j2",
        header=_header(config, metrics, evaluated),
        config=config,
        metrics=metrics,
        dataset=evaluated,
        pooled=pooled,
        first=first_sentence("This model", pooled.accuracy, pooled.n, metrics.baselines.get(POOLED, {})),
        command=train_command(config),
        counts=counts_table(config),
        protocol=protocol_table(config.protocol),
        sets=sets_table(metrics),
        classes=classes_table(POOLED, pooled),
        findings=run_findings(config, metrics, evaluated),
        few=[f"{name} ({found.support})" for name, found in pooled.per_class.items() if found.support < _FEW],
    )


def _header(config: RunConfig, metrics: RunMetrics, evaluated: EvaluatedData) -> dict[str, object]:
    """Return the metadata of the hub.

    `library_name` is not keras: the hub would tell visitors to load the folder with Keras, which reads a folder of
    another layout. "mean" is no dataset and has no result here.
    """
    results = [
        {
            "task": {"type": "image-classification"},
            # By its config the hub tells the sets apart; it would merge results that differ in name alone.
            "dataset": {
                "name": test_set,
                "type": "fastmri-cls",
                "config": test_set,
                "split": "test",
                "revision": evaluated.fingerprint,
            },
            "metrics": [
                {"type": kind, "value": estimate.value, "name": name}
                for kind, estimate, name in (
                    ("accuracy", found.accuracy, "accuracy"),
                    ("roc_auc", found.auc_macro, "AUC, mean of classes"),
                )
                if estimate is not None
            ],
        }
        for test_set, found in metrics.tests.items()
        if test_set != MEAN
    ]
    return {
        "license": "other",
        "license_name": "not-chosen",
        "library_name": "fastmri-cls",
        "pipeline_tag": "image-classification",
        "tags": ["medical-imaging", "mri", "fastmri-cls"],
        "metrics": ["accuracy", "roc_auc"],
        "model-index": [{"name": config.model, "results": results}],
    }
