"""fastmri-cls: fast training of brain-MRI image classifiers, without data leaks, with the evidence a reviewer asks for.

The public names are resolved on first use, so that importing the package loads nothing heavy:

    import fastmri_cls as fc

    dataset = fc.build_dataset({"nickparvar": "archive1", "bhuvaji": "archive2"}, "data/mri")
    run = fc.train(dataset, "small-cnn", "runs/first")
    run.metrics["pooled"].accuracy
"""

import importlib
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastmri_cls.api.data import audit, build_dataset
    from fastmri_cls.api.hub import pull, push
    from fastmri_cls.api.models import create_model
    from fastmri_cls.api.runs import compare, evaluate, export_model, predict, train
    from fastmri_cls.augment.layer import RandomAffineBrightness
    from fastmri_cls.dataset import Dataset
    from fastmri_cls.evaluation.metrics import classification_report
    from fastmri_cls.foundation.errors import Stopped, UserError
    from fastmri_cls.foundation.progress import show_log
    from fastmri_cls.models.registry import list_models
    from fastmri_cls.runs.metrics import Estimate, RunMetrics, SetMetrics
    from fastmri_cls.runs.protocol import Protocol
    from fastmri_cls.runs.run import Run

__all__ = [
    "Dataset",
    "Estimate",
    "Protocol",
    "RandomAffineBrightness",
    "Run",
    "RunMetrics",
    "SetMetrics",
    "Stopped",
    "UserError",
    "__version__",
    "audit",
    "build_dataset",
    "classification_report",
    "compare",
    "create_model",
    "evaluate",
    "export_model",
    "list_models",
    "predict",
    "pull",
    "push",
    "show_log",
    "train",
]

_MODULES = {
    "Dataset": "dataset",
    "Estimate": "runs.metrics",
    "Protocol": "runs.protocol",
    "RandomAffineBrightness": "augment.layer",
    "Run": "runs.run",
    "RunMetrics": "runs.metrics",
    "SetMetrics": "runs.metrics",
    "Stopped": "foundation.errors",
    "UserError": "foundation.errors",
    "audit": "api.data",
    "build_dataset": "api.data",
    "classification_report": "evaluation.metrics",
    "compare": "api.runs",
    "create_model": "api.models",
    "evaluate": "api.runs",
    "export_model": "api.runs",
    "list_models": "models.registry",
    "predict": "api.runs",
    "pull": "api.hub",
    "push": "api.hub",
    "show_log": "foundation.progress",
    "train": "api.runs",
}

# A library configures no logging: the program that imports it decides, or calls show_log.
logging.getLogger("fastmri_cls").addHandler(logging.NullHandler())


def __getattr__(name: str) -> object:
    """Import a public name on first use."""
    if name == "__version__":
        from importlib.metadata import version

        return version("fastmri-cls")
    if name not in __all__:
        raise AttributeError(f"module 'fastmri_cls' has no attribute {name!r}")
    if _MODULES[name].split(".")[0] in ("augment", "models"):
        from fastmri_cls.foundation.quiet import import_tensorflow

        import_tensorflow()
    value = getattr(importlib.import_module(f"fastmri_cls.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)
