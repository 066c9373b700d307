"""How features are extracted from videos, and how arrays of features are packed into records."""

from typing import Any

from youtube8m_distill import schema
from youtube8m_distill.settings import Settings, require, setting

INCEPTION, VGGISH, NONE, KERAS = "inception2015", "vggish", "none", "keras:"


class FeaturesConfig(Settings):
    """Which networks turn frames and sound into features, and how much of a video is read."""

    extractor: str = setting(
        INCEPTION,
        "What turns frames into features: inception2015, as in YouTube-8M; keras:NAME, a network of Keras Applications; or "
        "module:callable, from frames uint8 [N, H, W, 3] to vectors [N, D].",
    )
    audio_extractor: str | None = setting(
        None,
        "What turns sound into features: vggish, as in YouTube-8M; none; or module:callable, from seconds of sound float32 "
        "[N, 16000] to vectors [N, D]. Default: vggish with --extractor=inception2015, otherwise none.",
    )
    extractor_dir: str = setting(
        "",
        "Folder with the files of inception2015 and vggish. With keras:NAME, one with an .h5 file of its weights; they are "
        "downloaded otherwise.",
        is_path=True,
    )
    max_video_frames: int = setting(
        schema.MAX_FRAMES, "Seconds of a video that are read; later ones are ignored.", ge=1, le=schema.LONGEST_VIDEO
    )

    def model_post_init(self, context: Any, /):
        choices = "choose inception2015, keras:NAME, or module:callable."
        require(self.extractor == INCEPTION or _is_pair(self.extractor), "extractor", choices, self.extractor)
        choices = "choose vggish, none, or module:callable."
        is_known = self.sound in (VGGISH, NONE) or _is_pair(self.sound) and not self.sound.startswith(KERAS)
        require(is_known, "audio_extractor", choices, self.sound)
        official = [name for name in (self.extractor, self.sound) if name in (INCEPTION, VGGISH)]
        reason = f"is missing: the folder with the files of {' and '.join(official)}, which the manual lists."
        require(self.extractor_dir or not official, "extractor_dir", reason)
        reads_folder = official or self.extractor.startswith(KERAS)
        reason = f"has no effect with extractor={self.extractor} and audio_extractor={self.sound}."
        require(reads_folder or not self.extractor_dir, "extractor_dir", reason, self.extractor_dir)

    @property
    def sound(self) -> str:
        """`audio_extractor`, or its default."""
        return self.audio_extractor or (VGGISH if self.extractor == INCEPTION else NONE)


def _is_pair(text):
    first, colon, second = text.partition(":")
    return bool(first and colon and second)


class PackConfig(Settings):
    """How arrays of features are written as records."""

    feature_name: str = setting("rgb", "Name of the feature in .npy files, which hold one array without a name.")
    quantize: bool = setting(
        False,
        "Store floats as bytes, -2 .. 2 in 256 steps, as the official files do. For features of the official extractor.",
    )
    validate_share: float = setting(
        0.0,
        "Share of the videos for validate*.tfrecord, chosen by their ids; the others are in train*.tfrecord.",
        ge=0,
        lt=1,
    )
    videos_per_shard: int = setting(250, "Videos per file.", ge=1)

    def model_post_init(self, context: Any, /):
        require(self.feature_name, "feature_name", "is empty.")
