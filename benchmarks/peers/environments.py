"""Makes the peers' Python environments, one a requirement file, in the folder .peers of the checkout (git ignores it).

python benchmarks/peers/environments.py [NAME...]
    NAME is that of a file requirements-NAME.txt: dali, duplicates, ffcv, runtimes, torch. By default all of them.

Peers need versions of NumPy, OpenCV or PyTorch that contradict each other's and TensorFlow's, so none of them is
installed beside fastmri-cls. An environment that cannot be made is reported and the others are made; a benchmark skips
the candidates that lack theirs. Delete the folder to start again; all environments together take about 20 GB, most of
it CUDA's libraries, which the CPU build of PyTorch leaves out (see requirements-torch.txt).
"""

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
FOLDER = HERE.parents[1] / ".peers"
SHARED = "rich"  # what the package's own modules that a candidate imports need


def names() -> list[str]:
    """Return the names of all environments."""
    return sorted(path.stem.removeprefix("requirements-") for path in HERE.glob("requirements-*.txt"))


def interpreter(name: str) -> Path:
    """Return the Python of an environment, which may not be there."""
    return FOLDER / name / "bin" / "python"


def make(name: str) -> bool:
    """Make or update an environment; return whether that went well."""
    python = interpreter(name)
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", FOLDER / name], check=True)
    command = [python, "-m", "pip", "install", "--disable-pip-version-check", "--quiet", SHARED]
    return subprocess.run([*command, "-r", HERE / f"requirements-{name}.txt"], check=False).returncode == 0


def main() -> None:
    """Parse, make, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(names())}")
    chosen = parser.parse_args().names or names()
    if unknown := sorted(set(chosen) - set(names())):
        parser.error(f"{unknown[0]}: unknown; choose one of {', '.join(names())}")
    failed = []
    for name in chosen:
        print(f"{name}: installing", flush=True)
        if make(name):
            print(f"{name}: {interpreter(name)}", flush=True)
        else:
            failed.append(name)
    for name in failed:
        print(f"{name}: could not be made; see pip's message above and requirements-{name}.txt", file=sys.stderr)
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
