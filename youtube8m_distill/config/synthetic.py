"""What a synthetic data set holds."""

from typing import Literal

from youtube8m_distill import schema
from youtube8m_distill.settings import Settings, require, setting

SPLITS = ("train", "validate", "test")
VIDEO_LEVEL = "video_level"  # the folder of the video-level files
MOST_SHARDS = 10_000  # official names number the shards of a split with four digits
MOST_VIDEOS = 62**4 // len(SPLITS)  # in a split: official ids have four letters or digits
MAX_FRAMES = 301  # measured: the longest of 5,978 videos, one frame more than readers take
Compression = Literal["none", "gzip"]
IdKey = Literal["id", "video_id"]


class SyntheticConfig(Settings):
    """What to write. Without `from_video_level`, labels are drawn first, and frames follow from them."""

    num_train_videos: int = setting(3000, "Videos of the train split.", ge=0)
    num_validate_videos: int = setting(500, "Videos of the validate split.", ge=0)
    num_test_videos: int = setting(200, "Videos of the test split, which have no labels.", ge=0)
    num_classes: int | None = setting(
        None, "Classes. Default: 100; with --from_video_level, 3862. Give 4716 for files of 2017.", ge=2
    )
    videos_per_shard: int = setting(250, "Videos per file.", ge=1)
    seed: int = setting(0, "Seed of everything that is random; another seed gives another data set.", ge=0)
    video_level: bool = setting(
        False, f"Also write video-level files, the means of the frames, to the folder {VIDEO_LEVEL} in --output_dir."
    )
    from_video_level: str | None = setting(
        None, "Official video-level files (a quoted glob): the videos take their means, ids and labels."
    )
    id_key: IdKey = setting("id", "Name of the id feature; files of 2017 have video_id.")
    max_frames: int = setting(MAX_FRAMES, "Most frames of a video.", ge=1, le=MAX_FRAMES)
    compression: Compression = setting("none", "Compression of the files; the official ones have none.")

    def model_post_init(self, context, /):
        if self.num_classes is None:
            object.__setattr__(self, "num_classes", schema.NUM_CLASSES if self.from_video_level else 100)
        require(
            sum(self.sizes.values()),
            "num_train_videos",
            "ask for at least one video in one of the splits.",
            self.num_train_videos,
        )
        for split, size in self.sizes.items():
            least = -(-size // MOST_SHARDS)
            require(
                self.videos_per_shard >= least,
                "videos_per_shard",
                f"{size} {split} videos need at least {least}, as shards are numbered with four digits.",
                self.videos_per_shard,
            )
            require(
                self.from_video_level or size <= MOST_VIDEOS,
                f"num_{split}_videos",
                f"choose at most {MOST_VIDEOS}, as ids have four characters.",
                size,
            )

    @property
    def sizes(self) -> dict[str, int]:
        """Split -> how many videos, in the order of SPLITS."""
        return dict(zip(SPLITS, (self.num_train_videos, self.num_validate_videos, self.num_test_videos)))
