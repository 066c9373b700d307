"""Writes data sets of the official file format, of any size, with structure planted as in real videos.

    write_dataset(SyntheticConfig(num_train_videos=3000), "yt8m_sample")

gives `train0000.tfrecord` ..., `validate0000.tfrecord` ..., `test0000.tfrecord` ..., `vocabulary.csv` and
`synthetic.json`, which holds the parameters. A video depends on (seed, number of classes, max_frames, split, its number
in the split) alone: shards can be written in any order, and a larger set starts with the videos of a smaller one.
"""

import collections
import concurrent.futures
import contextlib
import csv
import dataclasses
import io
import json
import os
import pathlib

from youtube8m_distill import files, schema
from youtube8m_distill.data.synthetic import records, sources, statistics
from youtube8m_distill.data.tfrecord import RecordWriter

FORMAT = 1                          # raised when the same parameters give other videos
MANIFEST, VOCABULARY, VIDEO_LEVEL = "synthetic.json", "vocabulary.csv", "video_level"
SPLITS = ("train", "validate", "test")
MOST_SHARDS = 10_000                # official names number the shards of a split with four digits
COMPRESSIONS = {"none": "", "gzip": "GZIP"}
VOCABULARY_COLUMNS = ("Index", "TrainVideoCount", "KnowledgeGraphId", "Name", "WikiUrl", "Vertical1", "Vertical2",
                      "Vertical3", "WikiDescription")

Shard = collections.namedtuple("Shard", "split number start stop")


@dataclasses.dataclass(frozen=True)
class SyntheticConfig:
    """What to write. Without `from_video_level`, labels come first and frames follow from them."""

    num_train_videos: int = 3000
    num_validate_videos: int = 500
    num_test_videos: int = 200
    num_classes: int | None = None          # None: 100; with from_video_level the 3862 of 2018
    videos_per_shard: int = 250
    seed: int = 0
    video_level: bool = False               # also Examples with the means of the frames, in the folder video_level/
    from_video_level: str | None = None     # a glob of official video-level files to make frames around
    id_key: str = schema.ID_KEYS[0]         # video_id: the form of 2017
    max_frames: int = statistics.LONGEST    # longer videos are cut
    compression: str = "none"

    def __post_init__(self):
        if self.num_classes is None:
            object.__setattr__(self, "num_classes", schema.NUM_CLASSES if self.from_video_level else 100)
        for name, least in (("num_train_videos", 0), ("num_validate_videos", 0), ("num_test_videos", 0),
                            ("num_classes", 2), ("videos_per_shard", 1), ("seed", 0), ("max_frames", 1)):
            value = getattr(self, name)
            _require(isinstance(value, int) and value >= least, f"{name}={value}: must be a whole number of at least "
                     f"{least}.")
        _require(sum(self.sizes.values()), f"num_train_videos={self.num_train_videos}: ask for at least one video, "
                 "in one of the splits.")
        _require(self.max_frames <= statistics.LONGEST, f"max_frames={self.max_frames}: choose 1 to "
                 f"{statistics.LONGEST}, the longest real video.")
        _require(self.id_key in schema.ID_KEYS, f"id_key={self.id_key!r}: choose one of {', '.join(schema.ID_KEYS)}.")
        _require(self.compression in COMPRESSIONS, f"compression={self.compression!r}: choose one of "
                 f"{', '.join(COMPRESSIONS)}.")
        self._check_capacity()

    def _check_capacity(self):
        for split, size in self.sizes.items():
            least = -(-size // MOST_SHARDS)
            _require(self.videos_per_shard >= least, f"videos_per_shard={self.videos_per_shard}: {size} {split} videos "
                     f"need at least {least}, as shards are numbered with four digits.")
            _require(self.from_video_level or size <= sources.MOST_VIDEOS, f"num_{split}_videos={size}: choose at "
                     f"most {sources.MOST_VIDEOS}, as ids have four characters.")

    @property
    def sizes(self):
        """Split -> how many videos, in the order of SPLITS."""
        return dict(zip(SPLITS, (self.num_train_videos, self.num_validate_videos, self.num_test_videos)))


def _require(condition, message):
    if not condition:
        raise ValueError(message)


def write_dataset(config, output_dir, on_video=None):
    """Writes the set; shards that are there already (of a run cut short) are kept.

    Args:
        config: SyntheticConfig.
        output_dir: folder; new, empty, or begun with this very configuration.
        on_video: called with no argument after each video, from several threads.
    Returns:
        list of the data files written now; empty if the whole set was there.
    Raises:
        ValueError: if the folder holds something else, or files of `from_video_level` do not serve.
        OSError: with path and reason, if something cannot be written. The files that are there are complete.
    """
    output_dir = pathlib.Path(output_dir)
    _check_folder(config, output_dir)
    shards = [shard for shard in _shards(config) if not all(map(os.path.exists, _paths(config, output_dir, shard)))]
    if not shards and (output_dir / VOCABULARY).exists():
        return []
    source = sources.make_source(config)
    counts = source.count_train_labels()        # reads every record of a given source: what is wrong shows before
    files.write_text(output_dir / MANIFEST, _manifest(config))
    files.write_text(output_dir / VOCABULARY, _vocabulary(config, counts))
    for folder in sorted({path.parent for shard in shards for path in _paths(config, output_dir, shard)}):
        folder.mkdir(exist_ok=True)
        files.remove_leftovers(folder)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:     # numpy draws outside Python's lock
        jobs = [pool.submit(_write_shard, config, output_dir, source, shard, on_video) for shard in shards]
        try:
            return [path for job in jobs for path in job.result()]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def videos_to_write(config, output_dir):
    """How many videos of the set are not yet in the folder. int."""
    return sum(shard.stop - shard.start for shard in _shards(config)
               if not all(map(os.path.exists, _paths(config, pathlib.Path(output_dir), shard))))


def _check_folder(config, output_dir):
    if not output_dir.exists():
        return
    _require(output_dir.is_dir(), f"output_dir={str(output_dir)!r} is a file; name a folder.")
    found = sorted(path.name for path in output_dir.iterdir() if not path.name.endswith(".partial"))
    if not found:
        return
    try:
        theirs = json.loads((output_dir / MANIFEST).read_text(encoding="utf-8"))["synthetic"]
    except (OSError, ValueError, KeyError, TypeError):
        raise ValueError(f"output_dir={str(output_dir)!r} is not empty and holds no synthetic set of ours (first "
                         f"entry: {found[0]}). Nothing was changed; name a new or empty folder.") from None
    ours = json.loads(_manifest(config))["synthetic"]
    different = [f"{name} is {theirs.get(name)!r} there and {ours.get(name)!r} now"
                 for name in sorted({*ours, *theirs}) if theirs.get(name) != ours.get(name)]
    _require(not different, f"output_dir={str(output_dir)!r} holds a set with other parameters: "
             f"{'; '.join(different)}. Nothing was changed; name another folder, remove this one, or ask for the same.")


def _manifest(config):
    return json.dumps({"synthetic": {"format": FORMAT, **dataclasses.asdict(config)}}, indent=2) + "\n"


def _shards(config):
    step = config.videos_per_shard
    return [Shard(split, number, start, min(start + step, size)) for split, size in config.sizes.items()
            for number, start in enumerate(range(0, size, step))]


def _paths(config, output_dir, shard):
    """The files of a shard: frame level and, where it is asked for, video level."""
    name = f"{shard.split}{shard.number:04d}.tfrecord"
    return [output_dir / name, output_dir / VIDEO_LEVEL / name][:1 + config.video_level]


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
    """The vocabulary in the columns of the official one; names and groups are our own."""
    text = io.StringIO()
    writer = csv.DictWriter(text, VOCABULARY_COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for index in range(config.num_classes):
        group = "" if config.from_video_level else f"group {index // statistics.GROUP_SIZE:04d}"
        writer.writerow({"Index": index, "TrainVideoCount": int(counts[index]), "Name": f"class {index:04d}",
                         "KnowledgeGraphId": f"/synthetic/{index:04d}", "Vertical1": group})
    return text.getvalue()
