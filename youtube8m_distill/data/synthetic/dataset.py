"""Writes data sets in the official file format, of any size, with the statistics of real videos.

A video depends only on (seed, number of classes, max_frames, segments, split, its number in the split): shards can be
written in any order, and a larger set starts with the videos of a smaller one.
"""

import collections
import concurrent.futures
import contextlib
import csv
import io
import os
import pathlib
from collections.abc import Callable

from youtube8m_distill import files
from youtube8m_distill.config.synthetic import VIDEO_LEVEL
from youtube8m_distill.config.synthetic import SyntheticConfig as SyntheticConfig
from youtube8m_distill.data.synthetic import records, sources, statistics
from youtube8m_distill.data.tfrecord import RecordWriter
from youtube8m_distill.manifest import Manifest
from youtube8m_distill.settings import require

FORMAT = 1  # raised when the same parameters give other videos
MANIFEST, VOCABULARY = "synthetic.json", "vocabulary.csv"
COMPRESSIONS = {"none": "", "gzip": "GZIP"}
COLUMNS: str = "Index,TrainVideoCount,KnowledgeGraphId,Name,WikiUrl,Vertical1,Vertical2,Vertical3,WikiDescription"

Shard = collections.namedtuple("Shard", "split number start stop")


def write_dataset(
    config: SyntheticConfig, output_dir: str | os.PathLike, on_video: Callable[[], None] | None = None
) -> list[pathlib.Path]:
    """Writes the set. Shards that exist already are kept, so an interrupted call can be repeated.

    The folder gets `train0000.tfrecord` ..., `validate0000.tfrecord` ..., `test0000.tfrecord` ..., `vocabulary.csv` and
    `synthetic.json`, which holds the configuration.

    Args:
        config: what the set holds.
        output_dir: new, empty, or holding part of the same set.
        on_video: called after each video, from several threads.
    Returns:
        The data files written now; empty if the set was complete.
    Raises:
        SettingError: if the folder holds something else, or the files of `from_video_level` cannot be used.
        OSError: with path and reason, if something cannot be written. Files that exist are complete.
    """
    output_dir = pathlib.Path(output_dir)
    require(not output_dir.is_file(), "output_dir", "is a file; name a folder.", output_dir)
    settings = {"format": FORMAT, **config.to_dict()}
    if config.rates_official_classes:
        settings["rated_classes"] = "official"
    manifest = Manifest(output_dir / MANIFEST, settings, flag="output_dir", section="synthetic", what="a synthetic data set")
    manifest.check()
    shards = _missing_shards(config, output_dir)
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
    return sum(shard.stop - shard.start for shard in _missing_shards(config, pathlib.Path(output_dir)))


def _missing_shards(config, output_dir):
    step = config.videos_per_shard
    shards = [
        Shard(split, number, start, min(start + step, size))
        for split, size in config.sizes.items()
        for number, start in enumerate(range(0, size, step))
    ]
    return [shard for shard in shards if not all(map(os.path.exists, _paths(config, output_dir, shard)))]


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
    writer = csv.DictWriter(text, COLUMNS.split(","), restval="", lineterminator="\n")
    writer.writeheader()
    for index in range(config.num_classes):
        row = {
            "Index": index,
            "TrainVideoCount": int(counts[index]),
            "KnowledgeGraphId": f"/synthetic/{index:04d}",
            "Name": f"class {index:04d}",
            "Vertical1": "" if config.from_video_level else f"group {index // statistics.GROUP_SIZE:04d}",
        }
        writer.writerow(row)
    return text.getvalue()
