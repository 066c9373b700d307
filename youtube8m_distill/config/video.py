"""Which features are stored for a video, and which of its frames a network sees."""

from typing import Literal, get_args

from youtube8m_distill import schema
from youtube8m_distill.errors import SettingError
from youtube8m_distill.settings import Names, Settings, Sizes, require, setting

FrameSelection = Literal["all", "strided", "uniform", "random", "first", "middle", "last", "first_middle_last"]
FeatureDtype = Literal["uint8", "float32"]
FRAME_SELECTIONS, FEATURE_DTYPES = get_args(FrameSelection), get_args(FeatureDtype)
MAX_FEATURES, MAX_FEATURE_SIZE = 32, 2**20  # more than any data set has


class FeatureConfig(Settings):
    """What is stored for a video: which features, how long each is, bytes or floats, per frame or one mean."""

    names: Names = setting(schema.FRAME_FEATURES, "Features to read, comma-separated.", has_flag=False)
    sizes: Sizes = setting((1024, 128), "Their sizes.", has_flag=False)
    frame_features: bool = setting(True, "Whether files are frame-level (SequenceExample).", has_flag=False)
    dtype: FeatureDtype = setting(
        "uint8", "How features are stored. float32: MediaPipe's frame files, and every video-level file.", has_flag=False
    )

    def model_post_init(self, context, /):
        names, sizes = self.names, self.sizes
        require(
            names and len(names) == len(sizes),
            "feature_sizes",
            f"give one size for each of feature_names={','.join(names)}.",
            sizes,
        )
        require(len(set(names)) == len(names), "feature_names", "contains duplicates.", names)
        require(len(names) <= MAX_FEATURES, "feature_names", f"at most {MAX_FEATURES} can be read.", names)
        require(min(sizes) >= 1, "feature_sizes", "each must be a whole number above 0.", sizes)
        require(max(sizes) <= MAX_FEATURE_SIZE, "feature_sizes", f"each must be at most {MAX_FEATURE_SIZE}.", sizes)
        require(
            self.frame_features or self.dtype == "float32",
            "dtype",
            "video-level features are stored as float32.",
            self.dtype,
        )

    @property
    def size(self) -> int:
        """Numbers in one frame, all features together."""
        return sum(self.sizes)


class FrameView(Settings):
    """Which frames of a video a network sees.

    >>> FrameView(frame_selection="uniform", frames_per_video=10).max_frames
    10
    """

    frame_selection: FrameSelection = setting("all", "Which frames the network sees.", has_flag=False)
    frames_per_video: int | None = setting(
        None, "Number of frames k, for every selection but all and strided.", has_flag=False, ge=1, le=schema.MAX_FRAMES
    )
    every_n: int | None = setting(None, "Stride of --frame_selection=strided.", has_flag=False, ge=1, le=schema.MAX_FRAMES)

    def model_post_init(self, context, /):
        selection, k, stride = self.frame_selection, self.frames_per_video, self.every_n
        if (k is not None) != (selection not in ("all", "strided")):
            raise SettingError(
                "frames_per_video",
                f"with frame_selection={selection}: every selection but all and strided needs it, and only those take it.",
                k,
            )
        if (stride is not None) != (selection == "strided"):
            raise SettingError(
                "every_n", f"with frame_selection={selection}: strided needs it, and only strided takes it.", stride
            )

    @property
    def max_frames(self) -> int:
        """The most frames this selection gives: the padded length T of its batches."""
        if self.every_n is not None:
            return -(-schema.MAX_FRAMES // self.every_n)
        return schema.MAX_FRAMES if self.frames_per_video is None else self.frames_per_video
