"""What a kind of bad input is, the list of all, and how one is judged."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.campaign.materials import Materials
from tests.campaign.runner import NORMAL, Conditions, Ended, Zygote, differences, snapshot


@dataclass(frozen=True)
class BadInput:
    """A command on bad input and what must come of it.

    Fields:
        says: what the one line on stderr must name: the file or the flag. code: 1, 2 for usage, 0 where it must work.
        prints: what stdout must hold. makes: what the command may leave in the kind's folder, by first path part.
    """

    command: tuple[object, ...]
    says: str = ""
    code: int = 1
    prints: str = ""
    makes: tuple[str, ...] = ()
    conditions: Conditions = NORMAL


Kind = Callable[[Path, Materials], BadInput]
KINDS: list[Kind] = []


def kind(make: Kind) -> Kind:
    """Add a kind; its function makes the input in an empty folder that is writable for everyone."""
    KINDS.append(make)
    return make


def try_kind(make: Kind, folder: Path, given: Materials, zygote: Zygote) -> str:
    """Run one kind; return what was wrong, empty when all was as it must be."""
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    bad = make(folder, given)
    before = snapshot(folder)
    ended = zygote.run(*bad.command, conditions=bad.conditions)
    left = [name for name in differences(before, snapshot(folder)) if name.split("/")[0] not in bad.makes]
    return ended.crashed or _verdict(bad, ended) or (f"left behind or changed: {', '.join(left[:4])}" if left else "")


def _verdict(bad: BadInput, ended: Ended) -> str:
    last = ended.stderr.strip().splitlines()[-1:] or ["nothing on stderr"]
    if ended.code != bad.code:
        return f"exit code {ended.code}, not {bad.code}: {last[0][:200]}"
    if bad.prints not in ended.stdout:
        return f"does not print {bad.prints!r}"
    if bad.code == 1 and bad.says and len(ended.error_lines) != 1:
        return f"{len(ended.error_lines)} lines of error, not one"
    where = ended.error_lines[0] if bad.code == 1 and bad.says else ended.stderr
    return "" if bad.says in where else f"does not name {bad.says!r}: {(where or last[0])[:250]}"
