"""Optional dependencies: how to install an extra that a command needs."""


def missing_extra(name: str) -> str:
    """Return the hint for a command that needs the extra `name` of pyproject.toml."""
    return f"needs the extra {name}: pip install -e '.[{name}]'"
