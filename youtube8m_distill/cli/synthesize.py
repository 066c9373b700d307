"""Writes a data set of the official file format, so that a first run needs no download.

    python -m youtube8m_distill.cli.synthesize --output_dir=yt8m_sample

writes some 3,700 videos about 100 classes, about 1 GB. With `--from_video_level='yt8m/2/video/validate*.tfrecord'` the
frames are made around the means of real videos, which keep their ids and labels.
"""

import sys
import threading

from absl import app, flags
import tqdm

from youtube8m_distill import schema
from youtube8m_distill.data import synthetic
from youtube8m_distill.data.synthetic_statistics import LONGEST


def define_flags(flag_values=flags.FLAGS):
    """Defines the flags of this script; each but `--output_dir` is a field of SyntheticConfig."""
    default = synthetic.SyntheticConfig()
    flags.DEFINE_string("output_dir", None, "Folder to write: new, empty, or begun with these very flags.",
                        required=True, flag_values=flag_values)
    for split in synthetic.SPLITS:
        flags.DEFINE_integer(f"num_{split}_videos", default.sizes[split],
                             f"Videos of the {split} split" + (" (without labels)." if split == "test" else "."),
                             flag_values=flag_values)
    flags.DEFINE_integer("num_classes", None, f"Classes. Default: {default.num_classes}, or {schema.NUM_CLASSES} with "
                         "--from_video_level (4716 for files of 2017).", flag_values=flag_values)
    flags.DEFINE_integer("videos_per_shard", default.videos_per_shard, "Videos in one file.", flag_values=flag_values)
    flags.DEFINE_integer("seed", default.seed, "Another seed, another set.", flag_values=flag_values)
    flags.DEFINE_bool("video_level", default.video_level, "Also write video-level files with the means of the frames, "
                      f"into the folder {synthetic.VIDEO_LEVEL} below --output_dir.", flag_values=flag_values)
    flags.DEFINE_string("from_video_level", default.from_video_level, "Official video-level files (a glob, quoted) "
                        "whose means, ids and labels the videos take over.", flag_values=flag_values)
    flags.DEFINE_enum("id_key", default.id_key, schema.ID_KEYS, "Name of the id feature; video_id is the form of 2017.",
                      flag_values=flag_values)
    flags.DEFINE_integer("max_frames", default.max_frames, f"Longer videos are cut; the longest has {LONGEST} frames.",
                         flag_values=flag_values)
    flags.DEFINE_enum("compression", default.compression, sorted(synthetic.COMPRESSIONS), "Of the files. The official "
                      "ones have none.", flag_values=flag_values)


def config_from_flags(flag_values):
    """The SyntheticConfig that the flags say."""
    names = [name for name in synthetic.SyntheticConfig.__dataclass_fields__]
    return synthetic.SyntheticConfig(**{name: flag_values[name].value for name in names})


class Progress:
    """Counts videos: a bar on a terminal, elsewhere a line for every tenth of them."""

    def __init__(self, total, stream):
        self._total, self._stream = total, stream
        self._done, self._lock = 0, threading.Lock()
        self._bar = tqdm.tqdm(total=total, unit=" videos", file=stream) if stream.isatty() else None

    def __call__(self):
        with self._lock:
            self._done += 1
            if self._bar is not None:
                self._bar.update()
            elif self._done * 10 // self._total > (self._done - 1) * 10 // self._total:
                print(f"{self._done} of {self._total} videos", file=self._stream, flush=True)

    def close(self):
        if self._bar is not None:
            self._bar.close()


def run(flag_values):
    """Writes what the flags ask for and says where it is.

    Raises:
        app.UsageError: with the name of the flag that does not serve.
    """
    try:
        config = config_from_flags(flag_values)
        total = synthetic.videos_to_write(config, flag_values.output_dir)
        progress = Progress(total, sys.stderr)
        try:
            written = synthetic.write_dataset(config, flag_values.output_dir, progress)
        finally:
            progress.close()
    except ValueError as error:         # the messages start with the name of the field, which is that of the flag
        raise app.UsageError(f"--{error}") from error
    print(_summary(config, flag_values.output_dir, written))


def _summary(config, output_dir, written):
    if not written:
        return f"{output_dir}: this set is already there; nothing was written."
    sizes = ", ".join(f"{size} {split}" for split, size in config.sizes.items())
    return (f"{output_dir}: {sizes} videos of {config.num_classes} classes, {len(written)} files written now.\n"
            f"Train on --train_data_pattern='{output_dir}/train*.tfrecord' with --num_classes={config.num_classes}.")


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument {argv[1]!r}; every option starts with --.")
    run(flags.FLAGS)


if __name__ == "__main__":
    define_flags()
    app.run(main)
