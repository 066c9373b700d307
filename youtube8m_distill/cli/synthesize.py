"""Writes a data set of the official file format, so that a first run needs no download.

    python -m youtube8m_distill.cli.synthesize --output_dir=yt8m_sample

writes 3,700 videos about 100 classes, about 1 GB. With --from_video_level='yt8m/2/video/validate*.tfrecord' the frames
are made around the means of real videos, which keep their ids and labels.
"""

from absl import flags

from youtube8m_distill import display, files
from youtube8m_distill.cli import entry, setting_flags
from youtube8m_distill.cli import flags as our_flags
from youtube8m_distill.data.synthetic import dataset
from youtube8m_distill.errors import SettingError

FLAGS = flags.FLAGS


def define_flags():
    our_flags.define_files("Data set to write", ("output_dir", "Folder to write: new, empty, or from the same command."))
    our_flags.GROUPS["Data set to write"] += setting_flags.define_all(dataset.SyntheticConfig)


def main():
    with entry.user_errors():
        synthesize()


def synthesize():
    """Writes what the flags ask for and says where it is.

    Raises:
        ValueError: beginning with the name of the flag that does not serve.
        OSError: with path and reason, if something cannot be written.
    """
    output_dir = FLAGS.output_dir
    if not output_dir:
        raise SettingError("output_dir", "is missing; see --helpshort.")
    files.check_output("output_dir", output_dir, folder=True)
    config = dataset.SyntheticConfig(**our_flags.given(*dataset.SyntheticConfig.model_fields))
    try:
        with display.ProgressBar(dataset.videos_to_write(config, output_dir), "synthesize", "videos") as bar:
            written = dataset.write_dataset(config, output_dir, bar.update)
    except OSError as error:
        raise OSError(
            f"{error} The files in --output_dir={output_dir} are complete; run the command again to go on."
        ) from error
    print(summary(config, output_dir, written))


def summary(config, output_dir, written):
    """What was written, and the flags that train on it."""
    if not written:
        return f"{output_dir}: this set is already there; no video was written."
    sizes = ", ".join(f"{size} {split}" for split, size in config.sizes.items())
    return (
        f"{output_dir}: {sizes} videos of {config.num_classes} classes, {len(written)} files written now.\n"
        f"Train on it with --train_data_pattern='{output_dir}/train*.tfrecord' --num_classes={config.num_classes}"
    )


def run():
    define_flags()
    entry.run(main, __doc__)


if __name__ == "__main__":
    run()
