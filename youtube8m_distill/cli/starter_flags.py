"""Flags that commands of the starter code and of WILLOW give and that set nothing here.

Evaluation and prediction accept settings of the training that agree with the run. What is not supported is refused with
the reason.
"""

from collections.abc import Mapping

from absl import flags

from youtube8m_distill import config as configs
from youtube8m_distill.cli.flags import FLAGS, Flag, define_flag, field, fields, network_field, network_groups
from youtube8m_distill.errors import SettingError, written

READERS = "files are read one after the other; only training reads several at a time"
SAMPLED_FRAMES = {
    "iterations": "train with --frames_per_video; a network reads every frame that it is given",
    "sample_random_frames": "train with --frame_selection=random; a network reads every frame that it is given",
}
REPEATED: list[str] = []  # names of the flags that `define_repeated` has defined


def define_repeated() -> None:
    """Defines the settings of a training, which must agree with the run. The help does not show them."""
    of_network = {name: network_field(name) for names in network_groups().values() for name in names}
    others = {
        "model": Flag("", configs.MODELS),
        "video_level_classifier_model": Flag("", configs.CLASSIFIER_MODELS),
        "num_classes": field(configs.NetworkConfig, "num_classes"),
        "feature_names": Flag("", tuple),
        "feature_sizes": Flag("", tuple),
        "frame_features": Flag("", bool),
    }
    for name, flag in {**of_network, **others, **fields(configs.FrameView), **fields(configs.TrainingConfig)}.items():
        if name not in FLAGS:
            define_flag(name, flag)
            REPEATED.append(name)


def check_repeated(run_config: configs.RunConfig, role: str, folder: object) -> None:
    """Raises SettingError for a flag in REPEATED that is given and does not agree with the run in a folder."""
    network = run_config.networks[role]
    found = {
        **run_config.training.values(),
        **(network.view.values() if network.view else {}),
        **network.settings(),
        "model": network.model,
        "video_level_classifier_model": network.classifier.model,
        "num_classes": network.num_classes,
        "feature_names": list(network.features.names),
        "feature_sizes": list(map(str, network.features.sizes)),
        "frame_features": network.features.frame_features,
    }
    for name in REPEATED:
        flag = FLAGS[name]
        value = [part.strip() for part in flag.value] if isinstance(flag.value, list) else flag.value
        if flag.present and value != found.get(name):
            there = f"has {written(found[name])}" if found.get(name) is not None else "has no such setting"
            reason = f"the {run_config.title(role)} in {folder} {there}. Settings come from the run; leave the flag out."
            raise SettingError(name, reason, value)


def refuse_without_effect(reasons: Mapping[str, str], what: str, of_settings: str) -> None:
    """Raises SettingError for a flag in `reasons` or in REPEATED that is given and has no effect on `what`.

    Args:
        reasons: name of a flag -> why; the command need not have it.
        of_settings: why, for flags in REPEATED.
    """
    for name in (*reasons, *REPEATED):
        if name in FLAGS and FLAGS[name].present:
            reason = f"has no effect on {what}: {reasons.get(name, of_settings)}. Leave it out."
            raise SettingError(name, reason, FLAGS[name].value)


class _Refused(flags.ArgumentParser):
    """Refuses every value of a flag of the starter code that is not supported, with the reason."""

    def __init__(self, reason):
        super().__init__()
        self.reason = reason

    def parse(self, argument):
        raise ValueError(self.reason)


def define_refused(**reasons: str) -> None:
    """Defines flags that are refused, name -> reason."""
    for name, reason in reasons.items():
        # Boolean, so that `--name` alone is refused too, and does not consume the next argument.
        flags.DEFINE_flag(flags.Flag(_Refused(reason), None, name, None, "Not supported: " + reason, boolean=True))
