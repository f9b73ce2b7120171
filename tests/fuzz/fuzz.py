"""`scripts/fuzz`: mutate a target's seeds, guided by coverage (atheris, libFuzzer), until a finding or the time is up.

TensorFlow's parsers are C++ and not instrumented: for `record` only this package's own branches guide the mutation.
A finding stops the run, is printed with its traceback, and stays in the corpus folder: `crash-*`, `oom-*`, `timeout-*`.
"""

import argparse
import os
import signal
import sys
from pathlib import Path

import atheris

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
_INSTRUMENTED = {
    "manifest": ["fastmri_cls", "json"],
    "record": ["fastmri_cls"],
    "dicom": ["fastmri_cls", "pydicom"],
    "image": ["fastmri_cls", "PIL", "tifffile"],
    "nifti": ["fastmri_cls", "nibabel"],
    "mat": ["fastmri_cls"],
    "table": ["fastmri_cls"],
    "archive": ["fastmri_cls", "zipfile"],
}
_SECONDS = 10  # of processor time for one input: libFuzzer's own limit would count the time a process is stopped


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
        if options.target == "image":
            import PIL.Image

            PIL.Image.init()  # its plugins are imported late
        if options.target == "nifti":
            import nibabel  # noqa: F401
        if options.target == "record":
            import fastmri_cls.pipeline.examples
            import fastmri_cls.records.verify  # noqa: F401
    corpus = options.corpus / options.target
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed-{number:02}").write_bytes(seed)
        target.check(seed)  # what the first use loads and allocates is no finding
    flags = [
        f"-max_total_time={int(options.minutes * 60)}", "-max_len=8192", "-timeout=1800", "-rss_limit_mb=4096",
        "-print_final_stats=1", "-reduce_inputs=0",  # with little coverage to go by, seeds would shrink to nothing
        f"-artifact_prefix={corpus}/",
    ]  # fmt: skip
    signal.signal(signal.SIGVTALRM, _hang)

    def check(data: bytes) -> None:
        signal.setitimer(signal.ITIMER_VIRTUAL, _SECONDS)
        target.check(data)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)

    atheris.Setup([sys.argv[0], *flags, str(corpus)], check)
    atheris.Fuzz()


def _hang(*_: object) -> None:
    raise TimeoutError(f"took more than {_SECONDS} s of processor time")


if __name__ == "__main__":
    main()
