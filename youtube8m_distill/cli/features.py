"""Extracts features from videos."""

import os
import pathlib
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
NETWORK_FILES = {".h5", ".pb", ".npy", ".npz", ".ckpt"}  # that extractors read from --extractor_dir


def main(*names):
    config = settings_given(FeaturesConfig)
    with entry.user_errors():
        if not names:
            raise SettingError("FILE", f"is missing; name videos, as in `{entry.program('features')} clips/*.mp4`.")
        paths = inputs.find_files(names)
        _keep(*paths, FLAGS.labels, FLAGS.vocabulary)
        videos = inputs.input_files(paths, label_rows(), FLAGS.labels)
        sys.path.insert(0, os.getcwd())  # where module:callable is looked for; a console script leaves it out
        extractors = load_extractors(config)
        _keep(*_own_modules(config), *_files_in(config.extractor_dir))
        report = write_features(videos, FLAGS.output_file, *extractors, config.max_video_frames)
    print("\n".join(describe(report, len(videos), config)))
    if report.faults:
        sys.exit(SOMETHING_IS_WRONG)


def _keep(*paths):
    """Raises SettingError if the output would replace one of these input files; some may be None."""
    if os.path.realpath(FLAGS.output_file) in {os.path.realpath(path) for path in paths if path}:
        raise SettingError("output_file", "is also an input file; name another.", FLAGS.output_file)


def _own_modules(config):
    """The files of the modules that hold the user's extractors."""
    modules = (sys.modules.get(name.partition(":")[0]) for name in (config.extractor, config.sound) if ":" in name)
    return [getattr(module, "__file__", None) for module in modules]


def _files_in(folder):
    """The files of networks in --extractor_dir."""
    return [path for path in pathlib.Path(folder).glob("*") if path.suffix in NETWORK_FILES] if folder else []


def describe(report, num_videos, config):
    """What was written, what was not read, and which flags training needs, one line each."""
    features = report.features
    listed = ", ".join(f"{name} ({size} numbers)" for name, size in zip(features.names, features.sizes))
    lines = [f"{FLAGS.output_file}: {report.num_videos:,} video(s) of {report.num_frames:,} frame(s) with {listed}."]
    if report.num_longer:
        most = f"{config.max_video_frames} seconds (--max_video_frames)"
        lines.append(f"{report.num_longer:,} video(s) longer than {most}: the rest was not read.")
    if report.num_silent:
        lines.append(f"{report.num_silent:,} video(s) without sound: the audio features are those of silence.")
    lines += training_flags(features)
    if report.faults:
        lines.append(f"{len(report.faults):,} of {num_videos:,} videos left out, which cannot be used: see the warnings.")
    return lines
