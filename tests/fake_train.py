"""Stands in for `train` in tests of a study: writes a RUN in a moment, or fails as the environment says.

FAKE_TRAIN: `fail:NAME` ends with an error line in the cell of that name, `crash:NAME` by a signal, `hang:NAME` waits,
`hang-once:NAME` does so the first time only.
FAKE_TRAIN_PRECISION: what `--precision auto` resolves to.
"""

import os
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.comparison_runs import make_predictions, write_run


def main() -> None:
    """Write the RUN that the flags ask for."""
    given = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=False))
    run, seed = Path(given["--out"]), int(given["--seed"])
    what, _, cell = os.environ.get("FAKE_TRAIN", "").partition(":")
    if run.name == cell:
        if what == "fail":
            sys.exit("fastmri-cls: error: --weights nowhere.h5: no such file; give another")
        if what == "crash":
            os.kill(os.getpid(), signal.SIGKILL)
        run.parent.mkdir(parents=True, exist_ok=True)
        marker = run.parent / "hung"
        if what == "hang" or (what == "hang-once" and not marker.exists()):
            marker.touch()
            print(f"pid {os.getpid()} of {os.getppid()}", flush=True)
            time.sleep(120)
    pairs = zip(sys.argv[1:], sys.argv[2:], strict=False)
    settings = dict(value.split("=") for flag, value in pairs if flag == "--set")
    protocol = {"name": "strict", "preprocessing": "own", "contrast": float(settings.get("contrast", 1))}
    fold = {"fold": int(given["--fold"])} if "--fold" in given else {}
    luck = seed + 10 * fold.get("fold", 0)
    precision = given.get("--precision", os.environ.get("FAKE_TRAIN_PRECISION", "float32"))
    system = {"model": given["--model"], "protocol": protocol, "precision": precision, **fold}
    write_run(run, make_predictions(luck=luck), seed=seed, **system)
    for name in ("report.html", "README.md"):
        (run / name).write_text("done")


main()
