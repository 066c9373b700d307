"""Which features are stored for a video, and which of its frames a network sees."""

from typing import Literal, get_args

import pydantic

from youtube8m_distill import schema
from youtube8m_distill.settings import Names, Settings, Sizes, require, setting

FrameSelection = Literal["all", "strided", "uniform", "centered", "random", "first", "middle", "last", "first_middle_last"]
FRAME_SELECTIONS = get_args(FrameSelection)
FeatureDtype = Literal["uint8", "float32"]
MAX_FEATURES, MAX_FEATURE_SIZE = 32, 2**20  # more than any data set has


class FeatureConfig(Settings):
    """What is stored for a video: which features, how long each is, bytes or floats, per frame or one mean."""

    names: Names = schema.FRAME_FEATURES
    sizes: Sizes = (1024, 128)
    frame_features: bool = True  # whether files are frame-level (SequenceExample)
    dtype: FeatureDtype = "uint8"  # float32 in MediaPipe's frame files and in every video-level file

    def model_post_init(self, context, /):
        names, sizes = self.names, self.sizes
        reason = f"give one size for each of feature_names={','.join(names)}."
        require(names and len(names) == len(sizes), "feature_sizes", reason, sizes)
        require(len(set(names)) == len(names), "feature_names", "contains duplicates.", names)
        require(len(names) <= MAX_FEATURES, "feature_names", f"at most {MAX_FEATURES} can be read.", names)
        require(min(sizes) >= 1, "feature_sizes", "each must be a whole number above 0.", sizes)
        require(max(sizes) <= MAX_FEATURE_SIZE, "feature_sizes", f"each must be at most {MAX_FEATURE_SIZE}.", sizes)
        reason = "video-level features are stored as float32."
        require(self.frame_features or self.dtype == "float32", "dtype", reason, self.dtype)

    @property
    def size(self) -> int:
        """Numbers in one frame, all features together."""
        return sum(self.sizes)


class Reading(Settings):
    """How records are read, where files differ from the official ones."""

    label_key: str = setting(schema.LABELS_KEY, "Name of the labels in the records, a list of class numbers.")
    pad_missing_features: bool = setting(
        False,
        "Read a video whose features differ in length to the end of the shortest, and a feature that is missing as zeros.",
    )
    feature_dtype: FeatureDtype = setting("uint8", "Type of the numbers in features that are stored as bytes.")
    segment_labels: bool = setting(False, "Read rated segments of videos (the files of 2019) instead of whole videos.")
    segment_label_ids_file: str = setting(
        "",
        "CSV of the classes for which segments are rated. Default: with 3,862 classes the official 1,000, otherwise all.",
        is_path=True,
    )

    @pydantic.model_serializer(mode="wrap")
    def _serialize(self, handler):
        """Leaves out the settings of segments for whole videos, so that files that were written before still fit."""
        values = handler(self)
        if not self.segment_labels:
            del values["segment_labels"], values["segment_label_ids_file"]
        return values

    def model_post_init(self, context, /):
        reason = "has an effect only with segment_labels."
        require(self.segment_labels or not self.segment_label_ids_file, "segment_label_ids_file", reason)


class FrameView(Settings):
    """Which frames of a video a network sees.

    >>> FrameView(frame_selection="uniform", frames_per_video=10).max_frames
    10
    """

    frame_selection: FrameSelection = setting("all", "Which frames of a video.")
    frames_per_video: int | None = setting(None, "Number of frames k, for every selection but all and strided.")
    every_n: int | None = setting(None, "Stride of --frame_selection=strided.")
    max_video_frames: int = setting(
        schema.MAX_FRAMES, "Frames of a video that are read; later ones are ignored.", ge=1, le=schema.LONGEST_VIDEO
    )

    def model_post_init(self, context, /):
        selection, k, stride, longest = self.frame_selection, self.frames_per_video, self.every_n, self.max_video_frames
        reason = f"with frame_selection={selection}: every selection but all and strided needs it, and no other takes it."
        require((k is not None) == (selection not in ("all", "strided")), "frames_per_video", reason, k)
        reason = f"with frame_selection={selection}: strided needs it, and no other takes it."
        require((stride is not None) == (selection == "strided"), "every_n", reason, stride)
        for name, value in (("frames_per_video", k), ("every_n", stride)):
            reason = f"choose a value from 1 to {longest} (max_video_frames)."
            require(value is None or 1 <= value <= longest, name, reason, value)

    @pydantic.model_serializer(mode="wrap")
    def _serialize(self, handler):
        """Leaves out the usual max_video_frames, so that files that were written before it existed still fit."""
        values = handler(self)
        if self.max_video_frames == schema.MAX_FRAMES:
            del values["max_video_frames"]
        return values

    @property
    def max_frames(self) -> int:
        """The most frames this selection gives: the padded length T of its batches."""
        return self.frames_per_video or -(-self.max_video_frames // (self.every_n or 1))

    @property
    def takes_one_frame_per_span(self) -> bool:
        """Whether this selection divides the video into k equal spans and takes a frame of each."""
        return self.frame_selection in ("uniform", "centered")

    @property
    def sees_all_frames(self) -> bool:
        """Whether this selection leaves no frame of any video out."""
        return self.max_frames == self.max_video_frames
