"""Hints name extras that exist."""

import ast
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_hint_names_an_extra_of_pyproject():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = set()
    for path in (ROOT / "fastmri_cls").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "missing_extra":
                named.add(ast.literal_eval(node.args[0]))
    assert {"onnx", "litert", "dicom", "profile"} <= named <= set(extras)


def test_no_hint_names_a_package_that_is_not_published():
    for path in (ROOT / "fastmri_cls").rglob("*.py"):
        assert "pip install 'fastmri-cls" not in path.read_text(encoding="utf-8"), path
