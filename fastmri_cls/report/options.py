"""Options as people read them: names in words, values without Python's spelling."""


def words(path: str) -> str:
    """Return a dotted path in words: `phase1.max_epochs` is "phase 1 max epochs"."""
    return path.replace("phase1.", "phase 1 ").replace("phase2.", "phase 2 ").replace(".", " ").replace("_", " ")


def shown(value: object) -> str:
    """Return a value as people read it."""
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:g}"
        case list() | tuple():
            return " ".join(str(part).removeprefix("/device:") for part in value)
    return str(value)
