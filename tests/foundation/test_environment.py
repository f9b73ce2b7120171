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
