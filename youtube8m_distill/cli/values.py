"""What the flags of a command line stand for: settings, features, frames, files, and names of classes."""

import logging
import math
import os
from collections.abc import Mapping
from typing import Any, TypeVar

from youtube8m_distill import config as configs
from youtube8m_distill import schema
from youtube8m_distill.cli.flags import FLAGS
from youtube8m_distill.config.video import FrameSelection
from youtube8m_distill.errors import SettingError
from youtube8m_distill.settings import Settings, fields_with

SomeSettings = TypeVar("SomeSettings", bound=Settings)

logger = logging.getLogger(__name__)


def exclusions() -> tuple:
    """The entries of the list in --exclude_records, as data.exclusions.Fault. Loads TensorFlow."""
    from youtube8m_distill.data.exclusions import read_exclusions

    return read_exclusions(FLAGS.exclude_records) if FLAGS.exclude_records else ()


def feature_config() -> configs.FeatureConfig:
    """FeatureConfig from the flags; names and sizes that are not given are those the model reads."""
    video_level = configs.FAMILY_OF[FLAGS.model].is_video_level
    if FLAGS.frame_features == video_level:
        reason = f"{FLAGS.model} reads {'video' if video_level else 'frame'}-level files."
        raise SettingError("frame_features", reason, FLAGS.frame_features)
    names = FLAGS.feature_names or (schema.VIDEO_FEATURES if video_level else schema.FRAME_FEATURES)
    names = tuple(name.strip() for name in names)
    if FLAGS.feature_sizes is None:
        unknown = ", ".join(name for name in names if name not in schema.FEATURE_SIZES)
        if unknown:
            raise SettingError("feature_sizes", f"is needed for {unknown}; known are {', '.join(schema.FEATURE_SIZES)}.")
        sizes = tuple(schema.FEATURE_SIZES[name] for name in names)
    else:
        sizes = feature_sizes()
    dtype = "float32" if video_level else "uint8"
    return configs.FeatureConfig(names=names, sizes=sizes, frame_features=not video_level, dtype=dtype)


def feature_sizes() -> tuple[int, ...]:
    """The numbers in --feature_sizes, which must be given."""
    try:
        return tuple(map(int, FLAGS.feature_sizes))
    except ValueError:
        raise SettingError("feature_sizes", "give whole numbers.", FLAGS.feature_sizes) from None


def frame_view(default_selection: FrameSelection, **defaults: Any) -> configs.FrameView:
    """FrameView from --frame_selection, --frames_per_video, --every_n and --max_video_frames, with other `defaults`."""
    selection, k, stride = FLAGS.frame_selection, FLAGS.frames_per_video, FLAGS.every_n
    if selection is None:
        selection = "strided" if stride is not None else "uniform" if k is not None else default_selection
    if k is None and selection not in ("all", "strided"):
        k = 30
    view = {"frame_selection": selection, "frames_per_video": k, "every_n": stride}
    return configs.FrameView(**{**defaults, **view, **given("max_video_frames")})


def given(*names: str) -> dict[str, Any]:
    """The named flags that were given, as a dict name -> value."""
    return {name: FLAGS[name].value for name in names if FLAGS[name].value is not None}


def vocabulary(folder: str | os.PathLike | None = None) -> dict[int, str] | None:
    """Class names by index from --vocabulary or, without it, from the vocabulary in a folder; None if there is none."""
    from youtube8m_distill.export.vocabulary import FILE, read_vocabulary

    path = FLAGS.vocabulary
    if not path and (folder is None or not os.path.isfile(path := os.path.join(folder, FILE))):
        return None
    try:
        return read_vocabulary(path)
    except (ValueError, OSError) as error:
        reason = str(error) if type(error) is ValueError else f"cannot be read: {error}"
        raise SettingError("vocabulary", reason, path) from error


def warn_of_unnamed(names: Mapping[int, str] | None, num_classes: int) -> None:
    """Warns how many classes of a network have no name in a vocabulary, if there is one."""
    unnamed = [] if names is None else [number for number in range(num_classes) if number not in names]
    if unnamed:
        counts = f"{len(unnamed):,} of the network's {num_classes:,} classes"
        logger.warning("the vocabulary has no name for %s; the first is class %d.", counts, unnamed[0])


def label_rows() -> Any:
    """The rows of --labels by file, with the names of --vocabulary if it is given; None without --labels. SettingError."""
    from youtube8m_distill.features.inputs import read_labels

    if not FLAGS.labels and FLAGS.vocabulary:
        raise SettingError("vocabulary", "has an effect only with --labels.", FLAGS.vocabulary)
    names = vocabulary()
    return read_labels(FLAGS.labels, names) if FLAGS.labels else None


def training_flags(features: configs.FeatureConfig) -> list[str]:
    """A line with the flags that training needs to read features; nothing for official ones."""
    from youtube8m_distill.data.stored_features import feature_flags

    official = configs.FeatureConfig()
    if (features.names, features.sizes) == (official.names, official.sizes):
        return []
    return [f"`yt8m train` reads these features with {feature_flags(features)}."]


def reading_of(of_training: configs.Reading, **fixed: Any) -> configs.Reading:
    """How the records of a trained network are read: as in its training, except for flags that are given and `fixed`."""
    own = of_training.values()
    found = {**own, **given(*(name for name in own if name in FLAGS)), **fixed}
    ids_file = "segment_label_ids_file"
    if not found["segment_labels"] and not (ids_file in FLAGS and FLAGS[ids_file].present):
        found[ids_file] = ""  # the run's is about its segments
    return configs.Reading(**found)


def value_exponents() -> tuple[float, float]:
    """The two numbers of --value_exponents."""
    try:
        first, second = map(float, FLAGS.value_exponents)
    except ValueError:
        raise SettingError("value_exponents", "give two numbers, as in 0.05,0.95.", FLAGS.value_exponents) from None
    if not (0 <= first < math.inf and 0 <= second < math.inf):
        raise SettingError("value_exponents", "give two finite numbers from 0.", FLAGS.value_exponents)
    return first, second


def settings_given(kind: type[SomeSettings], **defaults: Any) -> SomeSettings:
    """Settings from the flags that were given; fields whose flags were not given take `defaults`, if they have one there."""
    return kind(**{**defaults, **given(*fields_with(kind, has_flag=True))})
