"""The settings and files that the flags of an experiment on segments request."""

import pathlib

from absl import flags

from reproduce.flags import common_settings, given_patterns, refuse_flags
from reproduce.segment_flags import SETTING_OF
from reproduce.segment_settings import SegmentSettings
from reproduce.segment_trials import NETWORKS
from youtube8m_distill.data.rated_segments import check_rated
from youtube8m_distill.errors import SettingError

FLAGS = flags.FLAGS

PATTERNS = ("train_data_pattern", "finetune_data_pattern", "eval_data_pattern")
# Flags that have no effect on these trials: those of frame selection, and what each trial sets.
WITHOUT_EFFECT = ("families", "methods", "ks", "same_steps", "recipe", "store_targets", "validation_data_pattern")
OF_TRIALS = ("mix_number", "mod_number", "cl_temperature")


def settings_from_flags():
    """The SegmentSettings, and the files as a dict from flag to tuple of Shard.

    Raises:
        SettingError: about the flag that is invalid.
    """
    refuse_flags(WITHOUT_EFFECT, "has no effect with mod_*; leave it out.")
    refuse_flags(OF_TRIALS, "has no effect here, because each trial sets it.")
    families = tuple(dict.fromkeys(network.model for network in NETWORKS.values()))
    values, shards = common_settings(_data_patterns(), families)
    for name in ("finetune_data_pattern", "eval_data_pattern"):
        check_rated(name, values[name], shards[name])
    finetuning = {setting: FLAGS[flag].value for flag, setting in SETTING_OF.items() if FLAGS[flag].present}
    return SegmentSettings(**values, finetuning=finetuning), shards


def flag_of(trial, setting):
    """The flag that gives a setting of a trial's RunConfig. Those of a training on segments have flags of their own."""
    flags_of_segments = {"train_data_pattern": "finetune_data_pattern", **{name: flag for flag, name in SETTING_OF.items()}}
    return flags_of_segments.get(setting, setting) if trial.on_segments else setting


def _data_patterns():
    """A dict from flag to file pattern: the flag's value, or by default the files in --data."""
    given = given_patterns(PATTERNS)
    if not FLAGS.data:
        return given
    folder = pathlib.Path(FLAGS.data)
    validate = sorted(map(str, folder.glob("validate*.tfrecord")))
    if len(validate) < 2 and not (given["finetune_data_pattern"] and given["eval_data_pattern"]):
        reason = (
            f"contains {len(validate)} validate*.tfrecord file(s). At least two are needed: one to fine-tune, and one to "
            "score."
        )
        raise SettingError("data", reason, folder)
    half = len(validate) // 2
    found = dict(zip(PATTERNS, (str(folder / "train*.tfrecord"), ",".join(validate[:half]), ",".join(validate[half:]))))
    return {name: given[name] or found[name] for name in PATTERNS}
