"""What is stored for a video, and which of its frames a network sees."""

import dataclasses

from youtube8m_distill import schema
from youtube8m_distill.checks import check_types, no_repeats, one_of, require, within

FRAME_SELECTIONS = ("all", "strided", "uniform", "random", "first", "middle", "last", "first_middle_last")
FEATURE_DTYPES = ("uint8", "float32")
MAX_FEATURES, MAX_FEATURE_SIZE = 32, 2 ** 20        # far beyond any data set


@dataclasses.dataclass(frozen=True)
class FeatureConfig:
    """What is stored for a video: which features, how long each is, bytes or floats, per frame or one mean."""

    names: tuple[str, ...] = schema.FRAME_FEATURES
    sizes: tuple[int, ...] = (1024, 128)
    frame_features: bool = True
    dtype: str = "uint8"                # float32: MediaPipe's frame files, and every video-level file

    def __post_init__(self):
        check_types(self)
        names, sizes = ",".join(self.names), ",".join(map(str, self.sizes))
        require(self.names and len(self.names) == len(self.sizes),
                f"feature_names={names} and feature_sizes={sizes}: give one size for each name.")
        no_repeats("feature_names", self.names)
        require(len(self.names) <= MAX_FEATURES, f"feature_names={names}: at most {MAX_FEATURES} can be read.")
        require(min(self.sizes) >= 1, f"feature_sizes={sizes}: each must be a whole number above 0.")
        require(max(self.sizes) <= MAX_FEATURE_SIZE, f"feature_sizes={sizes}: each must be at most {MAX_FEATURE_SIZE}.")
        one_of("dtype", self.dtype, FEATURE_DTYPES)
        require(self.frame_features or self.dtype == "float32",
                f"dtype={self.dtype!r}: video-level features are stored as float32.")

    @property
    def size(self):
        """Numbers in one frame, all features together."""
        return sum(self.sizes)


@dataclasses.dataclass(frozen=True)
class FrameConfig:
    """Which frames of a video one network sees."""

    frame_selection: str = "all"
    frames_per_video: int | None = None     # k, for every selection but `all` and `strided`
    every_n: int | None = None              # the stride of `strided`

    def __post_init__(self):
        check_types(self)
        selection, k, stride = self.frame_selection, self.frames_per_video, self.every_n
        one_of("frame_selection", selection, FRAME_SELECTIONS)
        within(1, schema.MAX_FRAMES, self, "frames_per_video", "every_n")
        require((k is not None) == (selection not in ("all", "strided")),
                f"frames_per_video={k} with frame_selection={selection!r}: every selection but all and strided needs "
                "it, and only those take it.")
        require((stride is not None) == (selection == "strided"),
                f"every_n={stride} with frame_selection={selection!r}: strided needs it, and only strided takes it.")

    @property
    def max_frames(self):
        """The most frames this selection gives: the padded length T of its batches."""
        if self.frame_selection == "all":
            return schema.MAX_FRAMES
        if self.frame_selection == "strided":
            return -(-schema.MAX_FRAMES // self.every_n)
        return self.frames_per_video
