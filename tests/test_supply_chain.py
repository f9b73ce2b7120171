"""What is installed and loaded: exact versions, the floor for safe loading, nothing that runs code from a file."""

import ast
import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LINES = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
PINNED = {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in LINES)}


def test_every_line_of_constraints_is_one_exact_version_and_no_address():
    for line in LINES:
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+-]+", line), line
    assert len(PINNED) == len(LINES)


def needed(extras: set[str]) -> set[str]:
    """Names of all distributions that the project needs with `extras`, theirs too, as far as they are installed."""
    todo = [(Requirement(text), set()) for text in PROJECT["dependencies"]]
    todo += [(Requirement(text), set()) for extra in extras for text in PROJECT["optional-dependencies"][extra]]
    found: set[str] = set()
    seen = set()
    while todo:
        requirement, wanted = todo.pop()
        applies = requirement.marker is None or any(requirement.marker.evaluate({"extra": e}) for e in wanted or {""})
        key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if not applies or key in seen:
            continue
        seen.add(key)
        try:
            distribution = metadata.distribution(requirement.name)
        except metadata.PackageNotFoundError:
            continue
        found.add(key[0])
        todo += [(Requirement(text), set(requirement.extras)) for text in distribution.requires or []]
    return found


def test_everything_installed_for_the_project_and_its_tests_is_pinned_to_the_version_that_is_here():
    names = needed({"dev", "onnx", "openvino", "litert", "profile", "lite0", "labels", "hub"})
    assert {"tensorflow", "keras", "h5py", "pytest", "urllib3", "onnxruntime", "ai-edge-litert", "xprof"} <= names
    assert {name: metadata.version(name) for name in names} == {name: PINNED.get(name) for name in names}


@pytest.mark.parametrize("extra", sorted(set(PROJECT["optional-dependencies"]) - {"gpu"}))
def test_every_extra_names_only_what_is_pinned(extra):
    for text in PROJECT["optional-dependencies"][extra]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(PINNED[canonicalize_name(requirement.name)]), text


def test_keras_is_at_least_the_first_version_that_loads_files_safely():
    (keras,) = [Requirement(text) for text in PROJECT["dependencies"] if Requirement(text).name == "keras"]
    assert not keras.specifier.contains(Version("3.15.0"))
    assert keras.specifier.contains(Version("3.15.1"))


def calls(tree: ast.AST) -> list[ast.Call]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


def test_no_code_is_ever_loaded_from_a_file():
    """No pickle in any form, no unsafe Keras, no eval: in the package, its benchmarks and its scripts.

    One module unpickles: models/torch_file.py resolves four globals and refuses any other, which its own test checks.
    """
    restricted = ROOT / "fastmri_cls" / "models" / "torch_file.py"
    assert "def find_class" in restricted.read_text(encoding="utf-8")
    forbidden = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    sources = [*(ROOT / "fastmri_cls").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]
    assert len(sources) > 100
    for path in sources:
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        for node in ast.walk(tree):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert path == restricted or not forbidden & {module.split(".")[0] for module in modules}, path
        for call in calls(tree):
            given = {keyword.arg: keyword.value for keyword in call.keywords}
            assert not (isinstance(call.func, ast.Name) and call.func.id in ("eval", "exec")), path
            for name, safe in (("safe_mode", True), ("allow_pickle", False)):
                if name in given:
                    assert isinstance(given[name], ast.Constant), path
                    assert given[name].value is safe, path
        assert "enable_unsafe_deserialization" not in text, path


def test_nothing_listens_on_more_than_loopback():
    for path in [*(ROOT / "fastmri_cls").rglob("*.py"), *(ROOT / "scripts").iterdir()]:
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            assert "0.0.0.0" not in text, path
            assert "--bind_all" not in text, path


def test_keras_cv_is_imported_only_by_the_augmentation_layer_and_its_benchmark():
    """keras-cv is no longer developed; nothing else may come to depend on it."""
    importing = set()
    for path in (ROOT / "fastmri_cls").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(module.split(".")[0] == "keras_cv" for module in modules):
                importing.add(path.relative_to(ROOT / "fastmri_cls").as_posix())
    assert importing <= {"augment/layer.py", "benchmark/baselines.py"}
