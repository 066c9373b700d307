"""Writes a data set of the official file format, so that a first run needs no download.

    python -m youtube8m_distill.cli.synthesize --output_dir=yt8m_sample

writes 3,700 videos about 100 classes, about 1 GB. With --from_video_level='yt8m/2/video/validate*.tfrecord' the frames
are made around the means of real videos, which keep their ids and labels.
"""

import dataclasses

from absl import flags

from youtube8m_distill import display, files, schema
from youtube8m_distill.cli import entry
from youtube8m_distill.cli import flags as our_flags
from youtube8m_distill.data.synthetic import dataset
from youtube8m_distill.data.synthetic.statistics import LONGEST

FLAGS = flags.FLAGS
FIELDS = tuple(field.name for field in dataclasses.fields(dataset.SyntheticConfig))


def define_flags(flag_values=FLAGS):
    """Defines the flags of this script; each but `output_dir` is a field of SyntheticConfig, with its default."""
    default = dataset.SyntheticConfig()

    def define(kind, name, text, *choices):
        value = None if name == "num_classes" else getattr(default, name, "")
        kind(name, value, *choices, text, flag_values=flag_values)

    define(flags.DEFINE_string, "output_dir", "Folder to write: new, empty, or begun with these very flags.")
    define(flags.DEFINE_integer, "num_train_videos", "Videos of the train split.")
    define(flags.DEFINE_integer, "num_validate_videos", "Videos of the validate split.")
    define(flags.DEFINE_integer, "num_test_videos", "Videos of the test split, which have no labels.")
    define(flags.DEFINE_integer, "num_classes", f"Classes. Default: {default.num_classes}; with --from_video_level "
           f"{schema.NUM_CLASSES} (files of 2017: 4716).")
    define(flags.DEFINE_integer, "videos_per_shard", "Videos in one file.")
    define(flags.DEFINE_integer, "seed", "Another seed, another set.")
    define(flags.DEFINE_boolean, "video_level", "Also write video-level files, the means of the frames, into the "
           f"folder {dataset.VIDEO_LEVEL} in --output_dir.")
    define(flags.DEFINE_string, "from_video_level", "Official video-level files (a glob, quoted) whose means, ids and "
           "labels the videos take over.")
    define(flags.DEFINE_enum, "id_key", "Name of the id feature; video_id is the form of 2017.", schema.ID_KEYS)
    define(flags.DEFINE_integer, "max_frames", f"Longer videos are cut. The longest has {LONGEST} frames.")
    define(flags.DEFINE_enum, "compression", "Of the files; the official ones have none.",
           tuple(dataset.COMPRESSIONS))


def main():
    with entry.user_errors():
        synthesize(FLAGS)


def synthesize(flag_values):
    """Writes what the flags ask for and says where it is.

    Raises:
        ValueError: beginning with the name of the flag that does not serve.
        OSError: with path and reason, if something cannot be written.
    """
    output_dir = flag_values.output_dir
    if not output_dir:
        raise ValueError("output_dir is missing; see --helpshort.")
    files.check_output("output_dir", output_dir, folder=True)
    config = dataset.SyntheticConfig(**{name: flag_values[name].value for name in FIELDS})
    try:
        with display.ProgressBar(dataset.videos_to_write(config, output_dir), "synthesize", "videos") as bar:
            written = dataset.write_dataset(config, output_dir, bar.update)
    except OSError as error:
        raise OSError(f"{error} The files in --output_dir={output_dir} are complete; run the command again to go on."
                      ) from error
    print(summary(config, output_dir, written))


def summary(config, output_dir, written):
    """What was written, and the flags that train on it."""
    if not written:
        return f"{output_dir}: this set is already there; no video was written."
    sizes = ", ".join(f"{size} {split}" for split, size in config.sizes.items())
    return (f"{output_dir}: {sizes} videos of {config.num_classes} classes, {len(written)} files written now.\n"
            f"Train on it with --train_data_pattern='{output_dir}/train*.tfrecord' --num_classes={config.num_classes}")


def run():
    define_flags()
    our_flags.GROUPS["Data set to write"] = ["output_dir", *FIELDS]
    entry.run(main, __doc__)


if __name__ == "__main__":
    run()
