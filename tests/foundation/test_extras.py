"""Hints name extras that exist."""

import ast
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def named_extras(tree: ast.AST) -> set[str]:
    """Names that are given to missing_extra, or as an argument `extra=`."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    given = [call.args[0] for call in calls if getattr(call.func, "id", "") == "missing_extra"]
    given += [keyword.value for call in calls for keyword in call.keywords if keyword.arg == "extra"]
    return {str(value.value) for value in given if isinstance(value, ast.Constant)}


def test_every_hint_names_an_extra_of_pyproject():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "fastmri_cls").rglob("*.py")]
    named = set().union(*map(named_extras, trees))
    assert {"onnx", "litert", "dicom", "profile", "lite0"} <= named <= set(extras)


def test_no_hint_names_a_package_that_is_not_published():
    for path in (ROOT / "fastmri_cls").rglob("*.py"):
        assert "pip install 'fastmri-cls" not in path.read_text(encoding="utf-8"), path
