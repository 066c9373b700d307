"""Frozen dataclasses that check themselves, with a strict round trip to JSON. No flags, no TensorFlow.

Only builders and scripts read these; layers, losses and samplers take plain arguments. Messages name the field and
the value; scripts put the flag in front.
"""

import dataclasses

from youtube8m_distill import schema

FRAME_SELECTIONS = ("all", "strided", "uniform", "random", "first", "middle", "last", "first_middle_last")
FEATURE_DTYPES = ("uint8", "float32")


@dataclasses.dataclass(frozen=True)
class FeatureConfig:
    """What is stored for a video: which features, how long each is, bytes or floats, per frame or one mean."""

    names: tuple = schema.FRAME_FEATURES
    sizes: tuple = (1024, 128)
    frame_features: bool = True
    dtype: str = "uint8"                # float32: MediaPipe's frame files, and every video-level file

    def __post_init__(self):
        object.__setattr__(self, "names", tuple(self.names))
        object.__setattr__(self, "sizes", tuple(self.sizes))
        if not self.names or len(self.names) != len(self.sizes):
            raise ValueError(f"feature_names={','.join(self.names)} and feature_sizes={','.join(map(str, self.sizes))}: "
                             "give one size for each name.")
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"feature_names={','.join(self.names)}: a name stands twice.")
        if any(not isinstance(size, int) or size < 1 for size in self.sizes):
            raise ValueError(f"feature_sizes={','.join(map(str, self.sizes))}: each must be a whole number above 0.")
        if self.dtype not in FEATURE_DTYPES:
            raise ValueError(f"dtype={self.dtype!r}: choose one of {', '.join(FEATURE_DTYPES)}.")
        if not self.frame_features and self.dtype != "float32":
            raise ValueError("Video-level features are stored as float32.")

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
        selection, k, stride = self.frame_selection, self.frames_per_video, self.every_n
        if selection not in FRAME_SELECTIONS:
            raise ValueError(f"frame_selection={selection!r} is unknown; choose one of {', '.join(FRAME_SELECTIONS)}.")
        if k is not None and not 1 <= k <= schema.MAX_FRAMES:
            raise ValueError(f"frames_per_video={k}: choose 1 to {schema.MAX_FRAMES}, the most a video holds.")
        if stride is not None and not 1 <= stride <= schema.MAX_FRAMES:
            raise ValueError(f"every_n={stride}: choose 1 to {schema.MAX_FRAMES}, the most a video holds.")
        if (k is not None) != (selection not in ("all", "strided")):
            raise ValueError(f"frames_per_video={k} with frame_selection={selection!r}: every selection but all and "
                             "strided needs it, and only those take it.")
        if (stride is not None) != (selection == "strided"):
            raise ValueError(f"every_n={stride} with frame_selection={selection!r}: strided needs it, and only strided "
                             "takes it.")

    @property
    def max_frames(self):
        """The most frames this selection gives: the padded length T of its batches."""
        if self.frame_selection == "all":
            return schema.MAX_FRAMES
        if self.frame_selection == "strided":
            return -(-schema.MAX_FRAMES // self.every_n)
        return self.frames_per_video
