"""Packs arrays of features into TFRecord files."""

from youtube8m_distill.cli import entry
from youtube8m_distill.cli.flags import FLAGS
from youtube8m_distill.cli.values import label_rows, settings_given, training_flags
from youtube8m_distill.config.features import PackConfig
from youtube8m_distill.errors import SettingError
from youtube8m_distill.features import inputs
from youtube8m_distill.features.packing import pack_arrays

NOT_OFFICIAL = 0.05  # share of clipped numbers


def main(*names):
    settings = settings_given(PackConfig)
    with entry.user_errors():
        if not names:
            raise SettingError("FILE", f"is missing; name arrays, as in `{entry.program('pack')} arrays/*.npy`.")
        videos = inputs.input_files(inputs.find_files(names), label_rows(), FLAGS.labels)
        packed = pack_arrays(videos, FLAGS.output_dir, settings)
    counts = " and ".join(f"{count:,} in {split}*.tfrecord" for split, count in packed.num_videos.items())
    print(f"{FLAGS.output_dir}: {counts}.")
    if packed.num_trimmed:
        print(f"The longer feature of {packed.num_trimmed:,} videos lost its last frame.")
    if packed.clipped:
        doubt = ": these are probably not features of the official extractor" if packed.clipped > NOT_OFFICIAL else ""
        print(f"{100 * packed.clipped:.2g} % of the numbers were beyond -2 .. 2 and were clipped{doubt}.")
    for line in training_flags(packed.features):
        print(line)
