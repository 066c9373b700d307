"""The networks that `yt8m predict` runs with LiteRT alone: neither TensorFlow nor Keras is imported."""

import contextlib
import glob
import importlib.util
import json
import os
import pathlib

import numpy as np

from youtube8m_distill import schema
from youtube8m_distill.cli import starter_flags
from youtube8m_distill.cli.flags import FLAGS
from youtube8m_distill.cli.values import reading_of
from youtube8m_distill.data.compact_manifest import MANIFEST, require_fitting
from youtube8m_distill.display import hidden_stderr
from youtube8m_distill.errors import SettingError, duplicate_video, in_one_line
from youtube8m_distill.export.litert import FILE, load_litert
from youtube8m_distill.settings import require

PACKAGES = {"ai_edge_litert": "ai-edge-litert", "google_crc32c": "google-crc32c"}  # module -> name of its package
REFUSED = {
    "checkpoint": "it has one set of weights",
    "network": "it is a single network",
    "mixed_precision": "its numbers are fixed",
    "batch_size": "it takes one video at a time",
    "num_gpu": "it runs on the CPU",
    "log_device_placement": "it runs on the CPU",
}


def load(folder, exported):
    """The network in a folder, whose `export.json` was read, as `predict.load` describes it."""
    starter_flags.refuse_without_effect(REFUSED, f"the LiteRT file in {folder}", "its settings are fixed")
    missing = [package for module, package in PACKAGES.items() if importlib.util.find_spec(module) is None]
    reason = f"needs packages that are not installed: pip install {' '.join(missing)} (the extra `export` holds them)."
    require(not missing, "train_dir", reason, FLAGS.train_dir)
    is_random = exported.config.view is not None and exported.config.view.frame_selection == "random"
    reason = "holds a network that sees random frames, which only TensorFlow draws. Use its run, or --format=saved_model."
    require(not is_random, "train_dir", reason, FLAGS.train_dir)
    return LiteRtTagger(folder, exported)


class LiteRtTagger:
    """Predicts the videos in one file after the other."""

    def __init__(self, folder, exported):
        from youtube8m_distill.data.plain_videos import read_videos  # needs a package that may be missing

        self.exported, self.configs, self._read_videos = exported, (exported.config,), read_videos
        self.reading = reading_of(exported.reading, segment_labels=False, segment_label_ids_file="")
        self.path = FLAGS.train_dir if os.path.isfile(FLAGS.train_dir) else os.path.join(folder, FILE)
        require(os.path.isfile(self.path), "train_dir", f"holds no {FILE}.", FLAGS.train_dir)
        with self._naming_file(), hidden_stderr():
            self._run = load_litert(self.path)
            # The first run allocates, and notices inputs that do not fit before any video is read.
            self._run({name: np.zeros((1, *shape[1:]), dtype) for name, (shape, dtype) in exported.inputs.items()})

    def predict(self, pattern):
        (config,), places = self.configs, {}
        for path in _matching_files(pattern):
            _check_compact(path, config)
            for number, video in enumerate(self._read_videos(path, config.features, config.view, self.reading)):
                place = f"file {path}, record {number}"
                if (first := places.setdefault(video.video_id, place)) != place:
                    raise duplicate_video(video.video_id, place, first)
                yield self._best(video, path)

    def _best(self, video, path):
        """The best classes of a video, as a batch of one."""
        with self._naming_file():
            (predictions,) = self._run({name: video.inputs[name] for name in self.exported.inputs})
        if not np.isfinite(predictions).all():
            reason = f"the predictions of the {self.exported.name} in {self.path} are not finite"
            raise ValueError(f"file {path}, video {video.video_id!r}: {reason}.")
        classes = np.argsort(-predictions, kind="stable")[: FLAGS.top_k]  # equal scores by class
        found = {"classes": classes[None], "scores": predictions[classes][None]}
        return {schema.PATH: [path], schema.VIDEO_ID: [video.video_id], schema.NOTED: video.notes, **found}

    @contextlib.contextmanager
    def _naming_file(self):
        """Names the LiteRT file in errors of its runtime."""
        try:
            yield
        except (ValueError, TypeError, RuntimeError, KeyError, MemoryError) as error:
            raise ValueError(f"{self.path} cannot be run with its export.json: {in_one_line(error)}") from error


def _matching_files(pattern):
    """The local files that an argument names, as `data.find_files` finds them."""
    reason = "is not on this machine; copy it first, or use a network that TensorFlow runs."
    require("://" not in pattern, "FILE", reason, pattern)
    globs = [pattern] if os.path.isfile(pattern) else [part.strip() for part in pattern.split(",") if part.strip()]
    found = {os.path.realpath(path): path for one in globs for path in _matches(os.path.expanduser(one))}
    return sorted(found.values())


def _matches(pattern):
    paths = [pattern] if os.path.exists(pattern) else glob.glob(pattern)
    require(paths, "FILE", "matches no file.", pattern)
    for path in paths:
        require(not os.path.isdir(path), "FILE", "is a folder; name the files in it.", path)
    return paths


def _check_compact(path, config):
    """Raises SettingError for a compact file that lacks frames which the network sees."""
    manifest = pathlib.Path(path).parent / MANIFEST
    if manifest.is_file():
        settings = json.loads(manifest.read_text(encoding="utf-8"))["compact"]
        try:
            require_fitting(str(manifest.parent), settings, config)
        except ValueError as error:
            raise SettingError("FILE", str(error), path) from error
