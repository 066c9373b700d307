"""Writes a synthetic data set in the official file format."""

from youtube8m_distill import display
from youtube8m_distill.cli import entry
from youtube8m_distill.cli.flags import FLAGS
from youtube8m_distill.cli.values import settings_given
from youtube8m_distill.data.synthetic import dataset


def main():
    folder, config = FLAGS.output_dir, settings_given(dataset.SyntheticConfig)
    with entry.user_errors():
        try:
            with display.ProgressBar(dataset.videos_to_write(config, folder), "synthesize", "videos") as bar:
                written = dataset.write_dataset(config, folder, bar.update)
        except OSError as error:
            complete = f"The files in --output_dir={folder} are complete; run the command again to resume."
            raise OSError(f"{error} {complete}") from error
    if not written:
        print(f"{folder}: the data set is complete; nothing was written.")
        return
    sizes = ", ".join(f"{size} {split}" for split, size in config.sizes.items())
    print(f"{folder}: {sizes} videos of {config.num_classes} classes; {len(written)} files were written.")
    train = f"{entry.program('train')} --train_data_pattern='{folder}/train*.tfrecord' --num_classes={config.num_classes}"
    print(f"To train on it: {train}")
