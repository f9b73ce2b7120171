"""Reports in a real browser: axe-core finds nothing serious, in light and dark, on a wide screen and on a phone.

Skipped where no Chromium or no axe-core is installed; `axe-core-python` brings axe-core's script by pip.
"""

import importlib.util
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from fastmri_cls.auditing.run import audit
from fastmri_cls.comparison.report import FailedRun, analyse, compare_runs, write_comparison
from fastmri_cls.sources.classes import ClassNames
from tests.comparison_runs import make_predictions, write_run

pytestmark = pytest.mark.slow

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_AXE = ("axe_playwright_python", "axe_core_python")  # packages with axe.min.js in them
_RUN_AXE = """
axe.run({runOnly: ["wcag2a", "wcag2aa", "wcag21aa", "best-practice"]}).then(found => {
  const result = document.createElement("pre");
  result.id = "axe-found";
  result.textContent = JSON.stringify({
    passes: found.passes.length,
    width: document.documentElement.scrollWidth,
    violations: found.violations.map(v => [v.id, v.impact, v.nodes.map(n => n.html.slice(0, 200))]),
  });
  document.body.append(result);
});
"""


def browser() -> str | None:
    return next(filter(None, map(shutil.which, _BROWSERS)), None)


def axe_script() -> Path | None:
    for package in _AXE:
        found = importlib.util.find_spec(package)
        for folder in (found and found.submodule_search_locations) or ():
            if (Path(folder) / "axe.min.js").exists():
                return Path(folder) / "axe.min.js"
    return None


def examine(page: Path, width: int, *flags: str) -> dict[str, Any]:
    """Run axe-core on a copy of a page; return what it found, and how wide the page got."""
    script = axe_script()
    assert script
    html = page.read_text(encoding="utf-8")
    copy = page.with_name(f"axe-{width}-{page.name}")
    copy.write_text(html.replace("</body>", f"<script>{script.read_text('utf-8')}{_RUN_AXE}</script></body>"), "utf-8")
    command = [browser(), "--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},1000", *flags]
    profile = f"--user-data-dir={copy.with_suffix('.profile')}"
    ended = subprocess.run(
        [*command, profile, "--virtual-time-budget=30000", "--dump-dom", copy.as_uri()],
        capture_output=True, text=True, timeout=100, check=True,
    )  # fmt: skip
    found = re.search(r'<pre id="axe-found">(.*?)</pre>', ended.stdout, re.DOTALL)
    assert found, ended.stderr[-1000:]
    return json.loads(unescape(found[1]))


@pytest.fixture(scope="module")
def pages(trained_run: Path, phantom_sources: dict[str, Path], tmp_path_factory: pytest.TempPathFactory):
    """Each kind of report."""
    folder = tmp_path_factory.mktemp("pages")
    shutil.copy(trained_run / "report.html", folder / "run.html")
    runs = [
        write_run(folder / model, make_predictions(skill=skill), model=model)
        for model, skill in (("convnext-tiny", 3.0), ("small-cnn", 1.2), ("densenet121-radimagenet", 1.0))
    ]
    compare_runs(runs, folder / "compare", force=False)
    (folder / "study").mkdir()
    write_comparison(analyse(runs), folder / "study", "Study", [FailedRun("small-cnn-seed1", "killed")])
    audit([f"{name}={path}" for name, path in phantom_sources.items()], ClassNames(), folder / "audit", 1)
    return {
        "run": folder / "run.html",
        "compare": folder / "compare" / "report.html",
        "study": folder / "study" / "report.html",
        "audit": folder / "audit" / "audit.html",
    }


@pytest.fixture(scope="module")
def examined(pages: dict[str, Path]) -> dict[str, dict[str, Any]]:
    if not browser() or not axe_script():
        pytest.skip("no Chromium, or no axe-core (axe-core-python)")
    views: dict[str, Callable[[], dict[str, Any]]] = {}
    for kind, page in pages.items():
        views[kind] = lambda page=page: examine(page, 1280)
    views["run, phone, dark"] = lambda: examine(pages["run"], 500, "--blink-settings=preferredColorScheme=0")
    views["compare, phone, dark"] = lambda: examine(pages["compare"], 500, "--blink-settings=preferredColorScheme=0")
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(views, pool.map(lambda view: view(), views.values()), strict=True))


@pytest.mark.parametrize("view", ["run", "compare", "study", "audit", "run, phone, dark", "compare, phone, dark"])
def test_axe_finds_nothing_and_the_page_is_no_wider_than_the_screen(view, examined):
    found = examined[view]
    assert found["violations"] == []
    assert found["passes"] > 15
    assert found["width"] <= (500 if "phone" in view else 1280)
