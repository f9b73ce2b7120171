"""What is handed on: the wheel's contents, its metadata, the citation, and the configuration of hooks and workflow."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    """The wheel, built without network from a copy: setuptools leaves its build folder beside the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "fastmri_cls", folder / "fastmri_cls", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", folder / "dist", folder], check=True, capture_output=True, timeout=300)
    (path,) = (folder / "dist").glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_has_every_file_of_the_package_and_nothing_else(wheel):
    package = ROOT / "fastmri_cls"
    here = {
        path.relative_to(ROOT).as_posix()
        for path in package.rglob("*")
        if path.is_file() and path.suffix != ".pyc" and not path.name.startswith(".")
    }
    assert {"fastmri_cls/py.typed", "fastmri_cls/report/templates/run.html"} <= here
    assert {name for name in wheel.namelist() if ".dist-info/" not in name} == here


def test_the_wheels_metadata_has_licence_systems_and_types(wheel):
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = HeaderParser().parsestr(wheel.read(name).decode())
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Author"] == "fastmri-cls contributors"
    classifiers = metadata.get_all("Classifier")
    assert {"Operating System :: POSIX :: Linux", "Operating System :: MacOS", "Typing :: Typed"} <= set(classifiers)
    assert any(name.endswith("/licenses/LICENSE") for name in wheel.namelist())


def test_the_licence_is_the_whole_apache_licence():
    text = (ROOT / "LICENSE").read_text()
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert len(text) > 11_000


def test_the_citation_names_this_version_and_the_study_it_started_from():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert (citation["title"], citation["version"]) == (PROJECT["name"], PROJECT["version"])
    assert citation["license"] == PROJECT["license"]
    (paper,) = citation["references"]
    assert paper["identifiers"] == [{"type": "other", "value": "arXiv:2511.18326"}]
    assert [author["family-names"] for author in paper["authors"]] == ["Abedini", "Vaziri", "Rahimi"]


def test_hooks_are_local_and_run_the_linters_of_scripts_test():
    (source,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert source["repo"] == "local"
    tools = {hook["entry"].split()[0] for hook in source["hooks"]}
    linters = {line.split()[0] for line in (ROOT / "scripts/test").read_text().splitlines() if line.startswith(".venv")}
    assert tools == linters


def test_the_workflow_runs_scripts_test():
    workflow = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert {"scripts/test", "scripts/demo"} <= {step.get("run") for step in steps}
    assert workflow["permissions"] == {"contents": "read"}


def test_the_container_and_the_conda_environment_name_pinned_versions_and_extras_that_exist():
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    container = (ROOT / "Dockerfile").read_text()
    assert f"FROM tensorflow/tensorflow:{pins['tensorflow']}-gpu\n" in container
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, _, pip = environment["dependencies"]
    assert python.split("=")[1] in PROJECT["requires-python"]
    assert pip["pip"][0] == "--constraint constraints.txt"
    for text in (container, pip["pip"][1]):
        (extras,) = re.findall(r"(?:/opt/fastmri-cls|\.)\[([\w,]+)\]", text)
        assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"])
