"""The log: nothing is configured by an import, RUN logs are whole whatever the importing program has configured."""

import subprocess
import sys

QUIET = """
import logging
from pathlib import Path
from fastmri_cls.foundation.progress import log, log_to

log.info("before")
with log_to(Path("train.log")):
    log.info("an epoch")
    log.warning("an odd file")
log.info("after")
assert (log.level, log.propagate) == (logging.NOTSET, True)
assert [type(handler) for handler in log.handlers] == [logging.NullHandler]
"""


def run(script: str, folder) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True, cwd=folder
    )


def test_without_configuration_the_file_gets_every_line_and_the_terminal_none(tmp_path):
    result = run(QUIET, tmp_path)
    assert [line.split("  ", 1)[1] for line in (tmp_path / "train.log").read_text().splitlines()] == [
        "an epoch",
        "an odd file",
    ]
    assert (result.stdout, result.stderr) == ("", "")


def test_a_programs_own_handler_gets_the_lines(tmp_path):
    configure = "import logging, sys\nlogging.basicConfig(stream=sys.stdout, level=logging.INFO, format='>%(message)s')"
    result = run(configure + QUIET, tmp_path)
    assert result.stdout.split() == [">before", ">an", "epoch", ">an", "odd", "file", ">after"]
    assert result.stderr == ""


def test_show_log_puts_each_line_on_stderr_once(tmp_path):
    script = "from fastmri_cls.foundation.progress import log, show_log\nshow_log(); show_log(); log.info('a line')"
    result = run(script, tmp_path)
    assert (result.stdout, result.stderr) == ("", "a line\n")
