"""What a synthetic data set holds."""

from typing import Literal

import pydantic

from youtube8m_distill import schema
from youtube8m_distill.settings import Settings, require, setting

SPLITS = ("train", "validate", "test")
VIDEO_LEVEL = "video_level"  # the folder of the video-level files
MOST_SHARDS = 10_000  # official names number the shards of a split with four digits
MOST_VIDEOS = 62**4 // len(SPLITS)  # in a split: official ids have four letters or digits
SEGMENT_FRAMES = 5  # the length of every rated segment of 2019
MAX_FRAMES = 301  # measured: the longest of 5,978 videos, one frame more than readers take


class SyntheticConfig(Settings):
    """What to write. Without `from_video_level`, labels are drawn first, and frames follow from them."""

    num_train_videos: int = setting(3000, "Videos of the train split.", ge=0)
    num_validate_videos: int = setting(500, "Videos of the validate split.", ge=0)
    num_test_videos: int = setting(200, "Videos of the test split, which have no labels.", ge=0)
    num_classes: int | None = setting(None, "Classes. Default: 100; 3862 with --from_video_level. Data of 2017: 4716.", ge=2)
    videos_per_shard: int = setting(250, "Videos per file.", ge=1)
    seed: int = setting(0, "Seed of everything that is random; another seed gives another data set.", ge=0)
    video_level: bool = setting(False, f"Also write video-level files, the frames' means, to OUTPUT_DIR/{VIDEO_LEVEL}.")
    segments: bool = setting(
        False, "Show each label in a few spans of its video only, and rate segments of the validate videos, as in 2019."
    )
    from_video_level: str | None = setting(None, "Official video-level files (globs) that give means, ids and labels.")
    id_key: Literal["id", "video_id"] = setting("id", "Name of the id feature; files of 2017 have video_id.")
    max_frames: int = setting(MAX_FRAMES, "Most frames of a video.", ge=1, le=MAX_FRAMES)
    compression: Literal["none", "gzip"] = setting("none", "Compression of the files; the official ones have none.")

    def model_post_init(self, context, /):
        if self.num_classes is None:
            object.__setattr__(self, "num_classes", schema.NUM_CLASSES if self.from_video_level else 100)
        reason = "ask for at least one video in one of the splits."
        require(sum(self.sizes.values()), "num_train_videos", reason, self.num_train_videos)
        reason = "does not work with --from_video_level: means do not tell when a label is visible. Omit one of them."
        require(not (self.segments and self.from_video_level), "segments", reason, self.segments)
        reason = f"with --segments, choose at least {SEGMENT_FRAMES}, the frames of a segment."
        require(not self.segments or self.max_frames >= SEGMENT_FRAMES, "max_frames", reason, self.max_frames)
        for split, size in self.sizes.items():
            least = -(-size // MOST_SHARDS)
            reason = f"{size} {split} videos need at least {least}, as shards are numbered with four digits."
            require(self.videos_per_shard >= least, "videos_per_shard", reason, self.videos_per_shard)
            reason = f"choose at most {MOST_VIDEOS}, as ids have four characters."
            require(self.from_video_level or size <= MOST_VIDEOS, f"num_{split}_videos", reason, size)

    @pydantic.model_serializer(mode="wrap")
    def _serialize(self, handler):
        """Leaves out `segments` without it, so that the manifests of sets that were written before it existed still fit."""
        values = handler(self)
        if not self.segments:
            del values["segments"]
        return values

    @property
    def rates_official_classes(self) -> bool:
        """Whether only the 1,000 classes of the segment challenge are rated, as in 2019; otherwise all are."""
        return self.segments and self.num_classes == schema.NUM_CLASSES

    @property
    def sizes(self) -> dict[str, int]:
        """Split -> how many videos, in the order of SPLITS."""
        return dict(zip(SPLITS, (self.num_train_videos, self.num_validate_videos, self.num_test_videos)))
