"""The order of somebody else's outputs, by the names of the classes."""

from collections.abc import Sequence
from typing import NamedTuple

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.sources.classes import ClassNames


class ClassOrder(NamedTuple):
    """Which output is which class.

    Attributes:
        names: of the outputs, in their order.
        columns: the output of each class of the dataset, in the dataset's order.
        origin: where the names are from.
    """

    names: tuple[str, ...]
    columns: list[int]
    origin: str


def find_order(
    model: str,
    classes: Sequence[str],
    given: Sequence[str] | None,
    named: Sequence[str] | None,
    named_by: str,
) -> ClassOrder:
    """Return the order of a model's outputs.

    A name is a class of the dataset if it is spelt so, or is one of the spellings that class folders may have
    (`no_tumor` for `notumor`).

    Args:
        model: its name, for errors.
        classes: of the dataset.
        given: names that the user gives, in the order of the outputs; None for none.
        named: names that the model itself gives; None for none.
        named_by: what gives them.

    Raises:
        UserError: no order is known, the names are not those of the dataset, or the user's order is not the model's.
    """
    of_dataset = f"the dataset has {', '.join(classes)}"
    if given is None and named is None:
        raise UserError(
            f"{model}: does not say which of its outputs is which class, and {of_dataset}; "
            "name the classes in the order of its outputs with --classes A,B,..."
        )
    names, origin = (given, "--classes") if given is not None else (named or (), named_by)
    columns = _columns(names, classes)
    if columns is None:
        raise UserError(
            f"{model}: its classes are {', '.join(names)} ({origin}), {of_dataset}; "
            "name each class of the dataset once, in the order of the model's outputs, with --classes"
        )
    if given is not None and named is not None and _columns(named, classes) != columns:
        raise UserError(
            f"{model}: --classes says {', '.join(given)}, {named_by} say {', '.join(named)}; "
            "leave --classes away, or correct it"
        )
    return ClassOrder(tuple(names), columns, origin)


def _columns(names: Sequence[str], classes: Sequence[str]) -> list[int] | None:
    """Return the place in `names` of each class; None if they are not the same classes."""
    if sorted(names) == sorted(classes):
        return [list(names).index(name) for name in classes]
    canonical = ClassNames().canonical
    place = {canonical(name): number for number, name in enumerate(names)}
    wanted = [canonical(name) for name in classes]
    if len(place) != len(names) or len(set(wanted)) != len(wanted) or set(place) != set(wanted):
        return None
    return [place[name] for name in wanted]
