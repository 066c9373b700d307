"""The base of every configuration: frozen, strict, and with one sentence for each field, which is the help of its flag."""

import typing
from typing import Any

import pydantic

from youtube8m_distill.errors import SettingError, written

# Larger than any real network needs, and small enough that a hostile configuration cannot exhaust memory.
MAX_SIZE, MAX_REPEATS = 2**20, 32

_EXPECTED = {  # pydantic's name of an error -> what is expected, in words
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
    "int_parsing_size": "a number of ordinary size",
}
LONGEST_VALUE = 100  # characters of an invalid value that a message shows


def setting(
    default: Any,
    description: str,
    *,
    shapes_weights: bool = True,
    has_flag: bool = True,
    may_change: bool = False,
    is_path: bool = False,
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
        is_path: whether it names one file or folder.
        **bounds: of pydantic.Field: ge, gt, le, lt.
    """
    extra: dict[str, Any] = {
        "shapes_weights": shapes_weights,
        "has_flag": has_flag,
        "may_change": may_change,
        "is_path": is_path,
    }
    return pydantic.Field(default, description=description, json_schema_extra=extra, **bounds)


def size(default: int, description: str, **options: Any) -> Any:
    """A field of Settings that counts units: a whole number of 1 or more."""
    return setting(default, description, ge=1, le=MAX_SIZE, **options)


LIST_AS_TUPLE = pydantic.BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)
Names = typing.Annotated[tuple[str, ...], LIST_AS_TUPLE]
Sizes = typing.Annotated[tuple[int, ...], LIST_AS_TUPLE]


class Settings(pydantic.BaseModel):
    """Frozen settings that check themselves. Fields are given by keyword.

    Types are strict: an int is accepted for a float, but text, NaN, infinities and bools are not. SettingError names the
    first field that is invalid.
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
        return dict(self)

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON knows them: nested dicts, tuples as lists."""
        return self.model_dump(mode="json")


def as_setting_error(error: pydantic.ValidationError, kind: Any) -> SettingError:
    """The SettingError for the first error in a pydantic.ValidationError."""
    first = error.errors()[0]
    what, context, value = first["type"], first.get("ctx", {}), first["input"]
    if isinstance(context.get("error"), SettingError):
        return context["error"]
    path = [part for part in first["loc"] if isinstance(part, str)]
    name = path[-1] if path else kind.__name__
    if what == "extra_forbidden":
        return SettingError(name, f"{kind.__name__} has no such field.")
    if what == "missing":
        return SettingError(name, f"is missing in {kind.__name__}.")
    if what == "union_tag_invalid":
        name, value, choices = context["discriminator"].strip("'"), context["tag"], context["expected_tags"]
        reason = f"is unknown; choose one of {choices}.".replace("'", "")
    elif what == "literal_error":
        reason = f"is unknown; choose one of {context['expected']}.".replace("'", "").replace(" or ", ", ")
    elif what in ("greater_than_equal", "greater_than", "less_than_equal", "less_than"):
        return SettingError(name, f"choose a value {_bounds(kind.model_fields[name])}.", value)
    else:
        reason = f"must be {_EXPECTED.get(what, first['msg'])}."
    text = written(value)
    return SettingError(name, reason, text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}...")


def _bounds(field):
    """A field's bounds in words: "from 1 to 300", "above 0, at most 1", "from 1"."""
    keys = ("ge", "gt", "le", "lt")
    bounds = {key: getattr(bound, key) for bound in field.metadata for key in keys if hasattr(bound, key)}
    shown = {key: f"{bound:,}" if isinstance(bound, int) else f"{bound:g}" for key, bound in bounds.items()}
    low = f"from {shown['ge']}" if "ge" in shown else f"above {shown['gt']}" if "gt" in shown else ""
    high = "" if "le" not in shown else f" to {shown['le']}" if "ge" in shown else f", at most {shown['le']}"
    return f"{low}, below {shown['lt']}" if "lt" in shown else low + high


def fields_with(kind: type[Settings], **wanted: Any) -> tuple[str, ...]:
    """Names of a Settings class's fields whose metadata hold these values, such as `shapes_weights=True`."""
    extras: dict[str, Any] = {name: field.json_schema_extra or {} for name, field in kind.model_fields.items()}
    return tuple(name for name, extra in extras.items() if wanted.items() <= extra.items())


def require(condition: object, name: str, reason: str, *value: Any) -> None:
    """Raises SettingError(name, reason, *value) unless `condition` holds."""
    if not condition:
        raise SettingError(name, reason, *value)
