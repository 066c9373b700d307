"""Extracts features from videos."""

import os
import sys

from youtube8m_distill.cli import entry
from youtube8m_distill.cli.flags import FLAGS
from youtube8m_distill.cli.values import label_rows, settings_given, training_flags
from youtube8m_distill.config.features import FeaturesConfig
from youtube8m_distill.errors import SettingError
from youtube8m_distill.features import inputs
from youtube8m_distill.features.extraction import write_features
from youtube8m_distill.features.extractors import load_extractors

SOMETHING_IS_WRONG = 1  # exit code


def main(*names):
    config = settings_given(FeaturesConfig)
    with entry.user_errors():
        if not names:
            raise SettingError("FILE", f"is missing; name videos, as in `{entry.program('features')} clips/*.mp4`.")
        paths = inputs.find_files(names)
        if any(os.path.realpath(path) == os.path.realpath(FLAGS.output_file) for path in paths):
            raise SettingError("output_file", "is also an input file; name another.", FLAGS.output_file)
        videos = inputs.input_files(paths, label_rows(), FLAGS.labels)
        sys.path.insert(0, os.getcwd())  # where module:callable is looked for; a console script leaves it out
        report = write_features(videos, FLAGS.output_file, *load_extractors(config), config.max_video_frames)
    print("\n".join(describe(report, len(videos), config)))
    if report.faults:
        sys.exit(SOMETHING_IS_WRONG)


def describe(report, num_videos, config):
    """What was written, what was not read, and which flags training needs, one line each."""
    features = report.features
    listed = ", ".join(f"{name} ({size} numbers)" for name, size in zip(features.names, features.sizes))
    lines = [f"{FLAGS.output_file}: {report.num_videos:,} video(s) of {report.num_frames:,} frame(s) with {listed}."]
    if report.num_longer:
        most = f"{config.max_video_frames} seconds (--max_video_frames)"
        lines.append(f"{report.num_longer:,} video(s) are longer than {most}; the rest was not read.")
    if report.num_silent:
        lines.append(f"{report.num_silent:,} video(s) have no sound; their audio features are those of silence.")
    lines += training_flags(features)
    if report.faults:
        lines.append(
            f"{len(report.faults):,} of {num_videos:,} videos cannot be used and are not in the file; see the warnings."
        )
    return lines
