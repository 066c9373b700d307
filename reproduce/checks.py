"""Checks that a dataclass makes of its own fields. Nothing of ours is imported here.

All raise ValueError with the field's name and value.
"""

import dataclasses
import sys
import types
import typing

_WORDS = {
    int: "a whole number",
    int | None: "a whole number or None",
    float: "a finite number",
    float | None: "a finite number or None",
    bool: "true or false",
    bool | None: "true, false or None",
    str: "text",
    str | None: "text or None",
    tuple[str, ...]: "a list of names",
    tuple[int, ...]: "a list of whole numbers",
}


def require(condition, message):
    """Raises ValueError with `message` unless `condition` holds."""
    if not condition:
        raise ValueError(message)


def check_types(config):
    """Every field of a dataclass holds what its annotation says.

    A list, as JSON has it, becomes the tuple that is asked for. A whole number may stand for a float, but NaN and
    infinities may not; a bool is no number.

    Args:
        config: dataclass instance, frozen or not, whose annotations are classes, `A | None`, `tuple[A, ...]` or
            `dict[str, A]`.
    """
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if typing.get_origin(field.type) is tuple and isinstance(value, list):
            value = tuple(value)
            object.__setattr__(config, field.name, value)
        wanted = _WORDS.get(field.type) or getattr(field.type, "__name__", field.type)
        require(_fits(value, field.type), f"{field.name}={value!r}: must be {wanted}.")


def _fits(value, kind):
    origin, options = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        return any(_fits(value, option) for option in options)
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(item, options[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(_fits(item, options[1]) for item in value.values())
    if isinstance(value, bool):  # which Python counts among the integers
        return kind is bool
    if kind is float:
        return isinstance(value, (int, float)) and abs(value) <= sys.float_info.max  # a whole number may be above it
    return isinstance(value, kind)


def one_of(name, value, choices):
    """`value` is among `choices`."""
    require(value in choices, f"{name}={value!r} is unknown; choose one of {', '.join(choices)}.")


def no_repeats(name, values):
    """No two of these strings are equal."""
    require(len(set(values)) == len(values), f"{name}={','.join(values)}: a name stands twice.")


def at_least(low, config, *names):
    """These fields are `low` or more, or None."""
    for name in names:
        value = getattr(config, name)
        require(value is None or value >= low, f"{name}={value}: must be at least {low}.")


def at_most(high, config, *names):
    """These fields are `high` or less, or None."""
    for name in names:
        value = getattr(config, name)
        require(value is None or value <= high, f"{name}={value}: must be at most {high}.")


def within(low, high, config, *names):
    """These fields lie in low .. high, both included, or are None."""
    for name in names:
        value = getattr(config, name)
        require(value is None or low <= value <= high, f"{name}={value}: choose {low} to {high}.")
