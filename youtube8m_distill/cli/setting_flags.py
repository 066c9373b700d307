"""Flags in the groups of --helpshort: written out, or made from the fields of settings.

The flag of a field is None if it is not given: the setting then takes its default, which the help shows.
"""

import types
import typing
from typing import Any

from absl import flags

from youtube8m_distill.config import CLASSIFIER_OF, FAMILY_OF
from youtube8m_distill.errors import written
from youtube8m_distill.settings import Settings, fields_with

GROUPS: dict[str, list[str]] = {}  # title -> names of flags, in the order of --helpshort
FRAMES_PER_BLOCK = "frames_per_block"  # a teacher and its student have flags of their own for it
DEFINE = {
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    bool: flags.DEFINE_boolean,
    str: flags.DEFINE_string,
    tuple: flags.DEFINE_list,
}


class Flag(typing.NamedTuple):
    """What a flag is, but for its name."""

    help: str
    type: Any = str  # a key of DEFINE, or a tuple of choices
    default: Any = ""  # for other types than text, "" stands for None
    at_least: int | None = None


def define(title: str, **definitions: Flag) -> None:
    """Defines flags and adds them to a group."""
    for name, flag in definitions.items():
        default = None if flag.default == "" and flag.type is not str else flag.default
        if isinstance(flag.type, tuple):
            flags.DEFINE_enum(name, default, flag.type, flag.help)
        else:
            bounds = {} if flag.at_least is None else {"lower_bound": flag.at_least}
            DEFINE[flag.type](name, default, flag.help, **bounds)
    GROUPS.setdefault(title, []).extend(definitions)


def field(kind: type[Settings], name: str, defaults: dict[str, Any] | None = None) -> Flag:
    """The flag of a field of settings.

    Args:
        kind: of the settings.
        name: of the field.
        defaults: model -> default, which the help shows; by default that of the field for all models.
    """
    described = kind.model_fields[name]
    annotation = described.annotation
    if isinstance(annotation, types.UnionType):  # as in `int | None`
        annotation = typing.get_args(annotation)[0]
    origin = typing.get_origin(annotation)
    choices = typing.get_args(annotation) if origin is typing.Literal else None
    shown = default_text(defaults or {"": described.default})
    return Flag(f"{described.description}{shown}", choices or origin or annotation, "" if described.default == "" else None)


def default_text(defaults: dict[str, Any]) -> str:
    """The default of each model in words, as in " Default: 8; 16 in MixNeXtVladModel."; the first model's comes first."""
    models = {}
    for model, default in defaults.items():
        models.setdefault(default, []).append(model)
    first, *others = models
    if first in (None, ""):
        return ""
    exceptions = "".join(f"; {written(default)} in {', '.join(models[default])}" for default in others)
    return f" Default: {written(first)}{exceptions}."


def fields(kind: type[Settings], *names: str) -> dict[str, Flag]:
    """The flags of these fields of settings; without names, of all that have one."""
    return {name: field(kind, name) for name in names or fields_with(kind, has_flag=True)}


def family_field(name: str) -> Flag:
    """The flag of a setting that one or more families have."""
    families = {model: family for model, family in FAMILY_OF.items() if name in family.model_fields}
    defaults = {model: family.model_fields[name].default for model, family in families.items()}
    return field(next(iter(families.values())), name, defaults)


def classifier_fields() -> dict[str, Flag]:
    """The flags of the classifiers' settings, whose defaults depend on the family."""
    found = {}
    for model, classifier in CLASSIFIER_OF.items():
        families = {owner: family for owner, family in FAMILY_OF.items() if family.published_classifier == model}
        for name in fields_with(classifier, has_flag=True):
            default = classifier.model_fields[name].default
            defaults = {owner: family.classifier_settings.get(name, default) for owner, family in families.items()}
            found[name] = field(classifier, name, defaults)
    return found


def family_groups() -> dict[str, list[str]]:
    """Title -> the families' settings but for dropout. A setting of several is in the group of the first."""
    groups, seen = {}, {"dropout"}
    for family in FAMILY_OF.values():
        own = [name for name in fields_with(family, has_flag=True) if name not in seen]
        seen.update(own)
        if own:
            sharing = [model for model, other in FAMILY_OF.items() if any(name in other.model_fields for name in own)]
            groups[", ".join(sharing)] = own
    return groups
