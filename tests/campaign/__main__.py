"""`python -m tests.campaign`: bad inputs and faults against every command, counted in one table."""

import argparse
import json
import signal
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from fastmri_cls.foundation.cpu import available_cores
from tests.campaign.plan import Job, make_jobs
from tests.campaign.results import as_json, print_results
from tests.campaign.workers import run_jobs


def main() -> int:
    """Run the campaign; 1 if anything crashed or was lost."""
    parser = argparse.ArgumentParser(prog="scripts/campaign", description=__doc__)
    parser.add_argument("parts", nargs="*", help="Only jobs whose part or name begins so, as: bad-input kill/train.")
    parser.add_argument("--short", action="store_true", help="A sample of everything, under a minute.")
    parser.add_argument("--seed", type=int, default=0, help="Of the moments of the kills and the places of the damage.")
    parser.add_argument("--json", action="store_true", help="Print the counts as the last line.")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="campaign-") as folder:
        place = Path(folder)
        place.chmod(0o755)  # some commands run as nobody
        jobs: list[Job] = make_jobs(options.seed, short=options.short, parts=options.parts)
        results = run_jobs(jobs, place, console)
    print_results(console, results, time.monotonic() - started, available_cores())
    if options.json:
        print(json.dumps(as_json(results)))
    return 1 if any(result.wrong for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
