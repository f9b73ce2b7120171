"""`scripts/fuzz`: mutate a target's seeds, guided by coverage (atheris, libFuzzer), until a finding or the time is up.

TensorFlow's parsers are C++ and not instrumented: for `record` only this package's own branches guide the mutation.
A finding stops the run, is printed with its traceback, and stays in the corpus folder: `crash-*`, `oom-*`, `timeout-*`.
"""

import argparse
import os
import sys
from pathlib import Path

import atheris

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
_INSTRUMENTED = {
    "manifest": ["fastmri_cls", "json"],
    "record": ["fastmri_cls"],
    "dicom": ["fastmri_cls", "pydicom"],
}


def main() -> None:
    """Run libFuzzer over one target."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__)
    parser.add_argument("target", choices=_INSTRUMENTED)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--corpus", type=Path, default=Path("build/fuzz"), help="kept between runs [build/fuzz]")
    options = parser.parse_args()
    with atheris.instrument_imports(include=_INSTRUMENTED[options.target], enable_loader_override=False):
        from tests.fuzz.targets import TARGETS

        target = TARGETS[options.target]
        if options.target == "dicom":
            import pydicom.pixels  # noqa: F401 - the decoder imports it late, outside of the instrumentation
        if options.target == "record":
            import fastmri_cls.pipeline.examples
            import fastmri_cls.records.verify  # noqa: F401
    corpus = options.corpus / options.target
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed-{number:02}").write_bytes(seed)
        target.check(seed)  # what the first use loads and allocates is no finding
    flags = [
        f"-max_total_time={int(options.minutes * 60)}", "-max_len=4096", "-timeout=20", "-rss_limit_mb=4096",
        "-print_final_stats=1", f"-artifact_prefix={corpus}/",
    ]  # fmt: skip
    atheris.Setup([sys.argv[0], *flags, str(corpus)], target.check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
