"""Stands in for `train` in tests of a study: writes a RUN in a moment, or fails as the environment says.

FAKE_TRAIN: `fail:NAME` ends with an error line in the cell of that name, `crash:NAME` by a signal, `hang:NAME` waits.
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
        if what == "hang":
            print(f"pid {os.getpid()}", flush=True)
            time.sleep(120)
    protocol = {"name": "strict", "preprocessing": "own", "contrast": float(given.get("--contrast", 1))}
    fold = {"fold": int(given["--fold"])} if "--fold" in given else {}
    # What `auto` means is measured, and would differ from seed to seed here.
    precision = given.get("--precision", "mixed_bfloat16" if seed else "float32")
    luck = seed + 10 * fold.get("fold", 0)
    write_run(
        run,
        make_predictions(luck=luck),
        model=given["--model"],
        seed=seed,
        protocol=protocol,
        precision=precision,
        **fold,
    )
    for name in ("report.html", "README.md"):
        (run / name).write_text("done")


main()
