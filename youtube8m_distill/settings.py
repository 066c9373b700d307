"""The base of every configuration: frozen, strict, and with one sentence for each field.

A field's description becomes the help text of its flag, and its default is the published value. `shapes_weights` says
whether networks that differ in the field have different weights. No other module lists field names.
"""

import typing
from typing import Any

import pydantic

from youtube8m_distill.errors import SettingError, written

# Larger than any real network needs, and small enough that a hostile configuration cannot exhaust memory.
MAX_SIZE, MAX_REPEATS = 2**20, 32

_EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a finite number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text",
    "tuple_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "missing": "given",
    "int_parsing_size": "a number of ordinary size",
}
_OUT_OF_BOUNDS = ("greater_than_equal", "greater_than", "less_than_equal", "less_than")
LONGEST_VALUE = 100  # characters of an invalid value that a message shows


def setting(
    default: Any,
    description: str,
    *,
    shapes_weights: bool = True,
    has_flag: bool = True,
    may_change: bool = False,
    **bounds: Any,
) -> Any:
    """A field of Settings.

    Args:
        default: the published or recommended value; `...` for a field that must be given.
        description: one sentence, the help text of the flag, which adds the default.
        shapes_weights: whether networks that differ in this field have different weights. A student must agree with its
            teacher in such fields, and so must a network with the one whose weights it starts from.
        has_flag: whether the command line has a flag of this name.
        may_change: whether a run may be resumed with another value.
        **bounds: of pydantic.Field: ge, gt, le, lt.
    """
    return pydantic.Field(
        default,
        description=description,
        json_schema_extra={"shapes_weights": shapes_weights, "has_flag": has_flag, "may_change": may_change},
        **bounds,
    )


def size(default: int, description: str, **options: Any) -> Any:
    """A field of Settings that counts units: a whole number of 1 or more."""
    return setting(default, description, ge=1, le=MAX_SIZE, **options)


Names = typing.Annotated[tuple[str, ...], pydantic.BeforeValidator(lambda value: _as_tuple(value))]
Sizes = typing.Annotated[tuple[int, ...], pydantic.BeforeValidator(lambda value: _as_tuple(value))]


def _as_tuple(value):
    return tuple(value) if isinstance(value, list) else value


class Settings(pydantic.BaseModel):
    """Frozen settings that check themselves. Fields are given by keyword.

    Types are strict: an int is accepted for a float, but text, NaN, infinities and bools are not.

    Raises:
        SettingError: with the name of the first field that is invalid.
    """

    model_config = pydantic.ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    def __init__(self, **values: Any):
        try:
            super().__init__(**values)
        except pydantic.ValidationError as error:
            raise as_setting_error(error, type(self)) from None

    def replace(self, **changes: Any) -> typing.Self:
        """A copy with other values in some fields, checked like a new one."""
        return type(self)(**{**self.values(), **changes})

    def values(self) -> dict[str, Any]:
        """dict, field -> value; nested settings stay objects."""
        return {name: getattr(self, name) for name in type(self).model_fields}

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON knows them: nested dicts, tuples as lists."""
        return self.model_dump(mode="json")


def as_setting_error(error: pydantic.ValidationError, kind: Any) -> SettingError:
    """The SettingError for the first error in a pydantic.ValidationError."""
    first = error.errors()[0]
    own = first.get("ctx", {}).get("error")
    if isinstance(own, SettingError):
        return own
    path = [part for part in first["loc"] if isinstance(part, str)]
    name = path[-1] if path else kind.__name__
    what, context = first["type"], first.get("ctx", {})
    if what == "extra_forbidden":
        return SettingError(name, f"{kind.__name__} has no such field.")
    if what == "union_tag_invalid":
        choices = context["expected_tags"].replace("'", "")
        return SettingError(
            context["discriminator"].strip("'"), f"is unknown; choose one of {choices}.", _shortened(context["tag"])
        )
    if what == "literal_error":
        choices = context["expected"].replace("'", "").replace(" or ", ", ")
        return SettingError(name, f"is unknown; choose one of {choices}.", _shortened(first["input"]))
    if what in _OUT_OF_BOUNDS:
        return SettingError(name, f"choose a value {_bounds(kind.model_fields[name])}.", first["input"])
    if what == "missing":
        return SettingError(name, f"is missing in {kind.__name__}.")
    return SettingError(name, f"must be {_EXPECTED.get(what, first['msg'])}.", _shortened(first["input"]))


def _bounds(field):
    """A field's bounds in words: "from 1 to 300", "above 0, at most 1", "from 1"."""
    found = {
        name: getattr(bound, name) for bound in field.metadata for name in ("ge", "gt", "le", "lt") if hasattr(bound, name)
    }
    shown = {name: f"{bound:,}" if isinstance(bound, int) else f"{bound:g}" for name, bound in found.items()}
    low = f"from {shown['ge']}" if "ge" in found else f"above {shown['gt']}" if "gt" in found else ""
    high = "" if "le" not in found else f" to {shown['le']}" if "ge" in found else f", at most {shown['le']}"
    if "lt" in found:
        high = f", below {shown['lt']}"
    return low + high


def _shortened(value):
    text = written(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}..."


def fields_with(kind: type[Settings], **wanted: Any) -> tuple[str, ...]:
    """Names of a Settings class's fields whose metadata hold these values, such as `shapes_weights=True`."""
    found = []
    for name, field in kind.model_fields.items():
        extra = field.json_schema_extra or {}
        if all(extra.get(key) == value for key, value in wanted.items()):
            found.append(name)
    return tuple(found)


def require(condition: object, name: str, reason: str, *value: Any) -> None:
    """Raises SettingError(name, reason, *value) unless `condition` holds."""
    if not condition:
        raise SettingError(name, reason, *value)
