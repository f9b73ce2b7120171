"""The example notebook runs from its first cell to its last, and shows tables and numbers."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

pytestmark = pytest.mark.slow

NOTEBOOK = Path(__file__).parents[1] / "examples" / "quickstart.ipynb"


def test_the_quick_start_notebook_runs(tmp_path):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "the file in the repository has no outputs"
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    shown = [
        output.get("data", {}) | {"stream": output.get("text", "")}
        for cell in notebook.cells
        for output in cell.get("outputs", [])
    ]
    html = [data["text/html"] for data in shown if "text/html" in data]
    assert any("meningioma" in text and "<table" in text for text in html), "a dataset is shown as a table"
    assert any("Estimate(" in data.get("text/plain", "") for data in shown)
    assert not any("Traceback" in data["stream"] for data in shown)
