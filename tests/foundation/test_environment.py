"""A result's environment is plain JSON, and asking for it imports nothing heavy."""

import json
import subprocess
import sys

from fastmri_cls.foundation import environment


def test_the_environment_names_versions_and_cores_without_importing_tensorflow() -> None:
    code = "import json, sys; from fastmri_cls.foundation.environment import describe; print(json.dumps(describe()))"
    code += "; assert 'tensorflow' not in sys.modules"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found = json.loads(result.stdout)
    assert found["packages"]["tensorflow"].startswith("2.")
    assert found["cores"] >= 1


def test_a_package_that_is_not_installed_has_no_version(monkeypatch) -> None:
    monkeypatch.setattr(environment, "_PACKAGES", ("numpy", "no-such-package"))
    assert list(environment.describe()["packages"]) == ["numpy"]


def test_the_commit_is_that_of_the_checkout_and_not_of_a_repository_around_site_packages(monkeypatch, tmp_path) -> None:
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "--message", "mine"], check=True)
    for place, is_checkout in ((".venv/lib/site-packages", False), (".", True)):
        module = tmp_path / place / "fastmri_cls" / "foundation" / "environment.py"
        module.parent.mkdir(parents=True)
        monkeypatch.setattr(environment, "__file__", str(module))
        assert (environment.describe()["commit"] is not None) == is_checkout
