"""Flags in the groups of --helpshort: written out, or made from the fields of settings.

The flag of a field is None if it is not given: the setting then takes its default, which the help shows.
"""

import types
import typing
from typing import Any

from absl import flags

from youtube8m_distill.config import CLASSIFIER_OF, FAMILY_OF, network_config
from youtube8m_distill.errors import written
from youtube8m_distill.settings import Settings, fields_with

FLAGS = flags.FLAGS
GROUPS: dict[str, list[str]] = {}  # title -> names of flags, in the order of --helpshort
KINDS = (*FAMILY_OF.values(), *CLASSIFIER_OF.values())
PUBLISHED = {model: network_config(model).settings() for model in FAMILY_OF}
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
    """The flag of a field of settings. Its help shows `defaults` (model -> default) or else the field's own."""
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


def network_field(name: str) -> Flag:
    """The flag of a setting of families or of a classifier, with the default of each model in its help."""
    kind = next(kind for kind in KINDS if name in kind.model_fields)
    published = {model: settings[name] for model, settings in PUBLISHED.items() if name in settings}
    return field(kind, name, None if kind.model_fields[name].default is None else published)


def network_groups() -> dict[str, list[str]]:
    """Title -> settings of networks. A setting of several families is in the group of the first."""
    classifiers = [name for kind in CLASSIFIER_OF.values() for name in fields_with(kind, has_flag=True)]
    groups, seen = {"Network": ["dropout"], "Classifiers": classifiers}, {"dropout"}
    for family in FAMILY_OF.values():
        own = [name for name in fields_with(family, has_flag=True) if name not in seen]
        seen.update(own)
        if own:
            sharing = [model for model, settings in PUBLISHED.items() if set(own) & set(settings)]
            groups[", ".join(sharing)] = own
    return groups
