"""Writes data sets in the official file format, of any size, with the statistics of real videos.

    write_dataset(SyntheticConfig(num_train_videos=3000), "yt8m_sample")

writes `train0000.tfrecord` ..., `validate0000.tfrecord` ..., `test0000.tfrecord` ..., `vocabulary.csv` and
`synthetic.json`, which holds the parameters. A video depends only on (seed, number of classes, max_frames, split, its
number in the split): shards can be written in any order, and a larger set starts with the videos of a smaller one.
"""

import collections
import concurrent.futures
import contextlib
import csv
import io
import os
import pathlib
from collections.abc import Callable
from typing import Literal

from youtube8m_distill import files, schema
from youtube8m_distill.data.synthetic import records, sources, statistics
from youtube8m_distill.data.tfrecord import RecordWriter
from youtube8m_distill.manifest import Manifest
from youtube8m_distill.settings import Settings, require, setting

FORMAT = 1  # raised when the same parameters give other videos
MANIFEST, VOCABULARY, VIDEO_LEVEL = "synthetic.json", "vocabulary.csv", "video_level"
SPLITS = ("train", "validate", "test")
MOST_SHARDS = 10_000  # official names number the shards of a split with four digits
COMPRESSIONS = {"none": "", "gzip": "GZIP"}
Compression = Literal["none", "gzip"]
IdKey = Literal["id", "video_id"]
VOCABULARY_COLUMNS = (
    "Index",
    "TrainVideoCount",
    "KnowledgeGraphId",
    "Name",
    "WikiUrl",
    "Vertical1",
    "Vertical2",
    "Vertical3",
    "WikiDescription",
)

Shard = collections.namedtuple("Shard", "split number start stop")


class SyntheticConfig(Settings):
    """What to write. Without `from_video_level`, labels are drawn first, and frames follow from them."""

    num_train_videos: int = setting(3000, "Videos of the train split.", ge=0)
    num_validate_videos: int = setting(500, "Videos of the validate split.", ge=0)
    num_test_videos: int = setting(200, "Videos of the test split, which have no labels.", ge=0)
    num_classes: int | None = setting(
        None, "Classes. Default: 100; with --from_video_level 3862 (files of 2017: 4716).", ge=2
    )
    videos_per_shard: int = setting(250, "Videos per file.", ge=1)
    seed: int = setting(0, "Another seed gives another set.", ge=0)
    video_level: bool = setting(
        False, f"Also write video-level files, the means of the frames, to the folder {VIDEO_LEVEL} in --output_dir."
    )
    from_video_level: str | None = setting(
        None, "Official video-level files (a quoted glob) whose means, ids and labels the videos keep."
    )
    id_key: IdKey = setting("id", "Name of the id feature; files of 2017 have video_id.")
    max_frames: int = setting(statistics.LONGEST, "Longer videos are cut.", ge=1, le=statistics.LONGEST)
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
                self.from_video_level or size <= sources.MOST_VIDEOS,
                f"num_{split}_videos",
                f"choose at most {sources.MOST_VIDEOS}, as ids have four characters.",
                size,
            )

    @property
    def sizes(self) -> dict[str, int]:
        """Split -> how many videos, in the order of SPLITS."""
        return dict(zip(SPLITS, (self.num_train_videos, self.num_validate_videos, self.num_test_videos)))


def write_dataset(
    config: SyntheticConfig, output_dir: str | os.PathLike, on_video: Callable[[], None] | None = None
) -> list[pathlib.Path]:
    """Writes the set. Shards that exist already are kept, so an interrupted call can be repeated.

    Args:
        config: SyntheticConfig.
        output_dir: folder; new, empty, or holding part of the same set.
        on_video: called with no argument after each video, from several threads.
    Returns:
        list of the data files written now; empty if the set was complete.
    Raises:
        SettingError: if the folder holds something else, or the files of `from_video_level` cannot be used.
        OSError: with path and reason, if something cannot be written. Files that exist are complete.
    """
    output_dir = pathlib.Path(output_dir)
    manifest = _manifest(config, output_dir)
    manifest.check()
    shards = [shard for shard in _shards(config) if not all(map(os.path.exists, _paths(config, output_dir, shard)))]
    if not shards and (output_dir / VOCABULARY).exists():
        return []
    source = sources.make_source(config)
    counts = source.count_train_labels()  # checks every record of a source before anything is written
    manifest.write()
    files.write_text(output_dir / VOCABULARY, _vocabulary(config, counts))
    for folder in sorted({path.parent for shard in shards for path in _paths(config, output_dir, shard)}):
        folder.mkdir(exist_ok=True)
        files.remove_leftovers(folder)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:  # numpy draws outside Python's lock
        jobs = [pool.submit(_write_shard, config, output_dir, source, shard, on_video) for shard in shards]
        try:
            return [path for job in jobs for path in job.result()]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def videos_to_write(config: SyntheticConfig, output_dir: str | os.PathLike) -> int:
    """Number of videos of the set that are not yet in the folder. int."""
    return sum(
        shard.stop - shard.start
        for shard in _shards(config)
        if not all(map(os.path.exists, _paths(config, pathlib.Path(output_dir), shard)))
    )


def _manifest(config, output_dir):
    require(not output_dir.is_file(), "output_dir", "is a file; name a folder.", output_dir)
    return Manifest(
        output_dir / MANIFEST,
        {"format": FORMAT, **config.to_dict()},
        flag="output_dir",
        section="synthetic",
        what="a synthetic data set",
    )


def _shards(config):
    step = config.videos_per_shard
    return [
        Shard(split, number, start, min(start + step, size))
        for split, size in config.sizes.items()
        for number, start in enumerate(range(0, size, step))
    ]


def _paths(config, output_dir, shard):
    """The files of a shard: frame level and, if requested, video level."""
    name = f"{shard.split}{shard.number:04d}.tfrecord"
    return [output_dir / name, output_dir / VIDEO_LEVEL / name][: 1 + config.video_level]


def _write_shard(config, output_dir, source, shard, on_video):
    paths = _paths(config, output_dir, shard)
    with contextlib.ExitStack() as stack:
        temporaries = [stack.enter_context(files.atomic_path(path, make_parent=False)) for path in paths]
        writers = [stack.enter_context(RecordWriter(path, COMPRESSIONS[config.compression])) for path in temporaries]
        for video in source.videos(shard.split, shard.start, shard.stop):
            for writer, serialize in zip(writers, (records.frame_level_record, records.video_level_record)):
                writer.write(serialize(video, config.id_key))
            if on_video is not None:
                on_video()
    return paths


def _vocabulary(config, counts):
    """The vocabulary as CSV, in the official columns."""
    text = io.StringIO()
    writer = csv.DictWriter(text, VOCABULARY_COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for index in range(config.num_classes):
        group = "" if config.from_video_level else f"group {index // statistics.GROUP_SIZE:04d}"
        writer.writerow(
            {
                "Index": index,
                "TrainVideoCount": int(counts[index]),
                "Name": f"class {index:04d}",
                "KnowledgeGraphId": f"/synthetic/{index:04d}",
                "Vertical1": group,
            }
        )
    return text.getvalue()
