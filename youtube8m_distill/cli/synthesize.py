"""Writes a synthetic data set in the official file format."""

from absl import flags

from youtube8m_distill import display
from youtube8m_distill.cli import entry
from youtube8m_distill.cli import flags as our_flags
from youtube8m_distill.data.synthetic import dataset

FLAGS = flags.FLAGS


def main():
    output_dir = FLAGS.output_dir
    config = dataset.SyntheticConfig(**our_flags.given(*dataset.SyntheticConfig.model_fields))
    with entry.user_errors():
        try:
            with display.ProgressBar(dataset.videos_to_write(config, output_dir), "synthesize", "videos") as bar:
                written = dataset.write_dataset(config, output_dir, bar.update)
        except OSError as error:
            raise OSError(
                f"{error} The files in --output_dir={output_dir} are complete; run the command again to resume."
            ) from error
    print(summary(config, output_dir, written))


def summary(config, output_dir, written):
    """What was written, and the flags that train on it."""
    if not written:
        return f"{output_dir}: the data set is complete; nothing was written."
    sizes = ", ".join(f"{size} {split}" for split, size in config.sizes.items())
    return (
        f"{output_dir}: {sizes} videos of {config.num_classes} classes; {len(written)} files were written.\n"
        f"To train on it: {entry.program('train')} --train_data_pattern='{output_dir}/train*.tfrecord' "
        f"--num_classes={config.num_classes}"
    )
