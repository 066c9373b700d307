"""Flags made from the fields of settings: name, type, choices and help come from the field, in one place.

A flag that is not given is None: the setting then takes its default, which the help shows.
"""

import types
import typing

from absl import flags

from youtube8m_distill import config as configs
from youtube8m_distill.errors import written
from youtube8m_distill.families import CLASSIFIERS, FAMILIES
from youtube8m_distill.settings import fields_with

_DEFINE = {
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    bool: flags.DEFINE_boolean,
    str: flags.DEFINE_string,
    tuple: flags.DEFINE_list,
}

# Fields of FrameFamilySettings, which every frame-level family has.
COMMON_FIELDS = ("dropout",)
# A teacher and its student have flags of their own for it.
FRAMES_PER_BLOCK = "frames_per_block"


def define(kind, name, help_text):
    """Defines the flag of one field of a Settings class, without a default."""
    annotation = _without_none(kind.model_fields[name].annotation)
    choices = typing.get_args(annotation) if typing.get_origin(annotation) is typing.Literal else None
    if choices:
        flags.DEFINE_enum(name, None, choices, help_text)
    else:
        _DEFINE[typing.get_origin(annotation) or annotation](name, None, help_text)


def _without_none(annotation):
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        (annotation,) = (option for option in typing.get_args(annotation) if option is not type(None))
    return annotation


def define_all(kind):
    """Defines the flags of all fields of a Settings class; returns their names."""
    names = fields_with(kind, has_flag=True)
    for name in names:
        default = kind.model_fields[name].default
        define(kind, name, _sentence(kind, name, "" if default is None else f"Default: {written(default)}."))
    return list(names)


def define_family_groups():
    """Defines the flags of all families' own settings.

    Returns:
        dict, title -> names of its flags. A setting of several families is in the group of the first.
    """
    owners, groups = {}, {}
    for family in FAMILIES:
        for name in fields_with(family, has_flag=True):
            owners.setdefault(name, []).append(family)
    for family in FAMILIES:
        own = [name for name, its_owners in owners.items() if its_owners[0] is family and name not in COMMON_FIELDS]
        if own:
            sharing = [other for other in FAMILIES if any(other in owners[name] for name in own)]
            groups[", ".join(map(_model_of, sharing))] = own
    for name, its_owners in owners.items():
        values = {_model_of(family): family.model_fields[name].default for family in its_owners}
        define(its_owners[0], name, _sentence(its_owners[0], name, _defaults(values)))
    return groups


def define_classifiers():
    """Defines the flags of the classifiers' settings; returns their names."""
    names = []
    for classifier in CLASSIFIERS:
        for name in fields_with(classifier, has_flag=True):
            values = {
                _model_of(family): family.classifier_settings.get(name, classifier.model_fields[name].default)
                for family in FAMILIES
                if family.published_classifier == _model_of(classifier)
            }
            define(classifier, name, _sentence(classifier, name, _defaults(values)))
            names.append(name)
    return names


def network_flags():
    """Names of the flags that set a network's own settings, but for the block length."""
    names = dict.fromkeys(name for kind in (*FAMILIES, *CLASSIFIERS) for name in fields_with(kind, has_flag=True))
    return ("num_classes", *(name for name in names if name != FRAMES_PER_BLOCK))


def shapes_weights(name):
    """Whether networks that differ in a setting have other weights."""
    return name == "num_classes" or any(name in fields_with(kind, shapes_weights=True) for kind in (*FAMILIES, *CLASSIFIERS))


def training_flags():
    return fields_with(configs.TrainingConfig, has_flag=True)


def distillation_flags():
    return fields_with(configs.DistillationConfig, has_flag=True)


def _sentence(kind, name, default):
    return " ".join(filter(None, [kind.model_fields[name].description, default]))


def _defaults(values):
    """The default of each family in words, as in "Default: 8; 16 in MixNeXtVladModel.".

    Args:
        values: dict, model -> default; the first one's comes first.
    """
    first = next(iter(values.values()))
    if first is None:
        return ""
    others = {}
    for model, value in values.items():
        if value != first:
            others.setdefault(value, []).append(model)
    exceptions = "".join(f"; {written(value)} in {', '.join(models)}" for value, models in others.items())
    return f"Default: {written(first)}{exceptions}."


def _model_of(kind):
    return kind.model_fields["model"].default
