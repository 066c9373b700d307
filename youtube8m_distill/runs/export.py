"""Exports a run's network to another runtime, and checks the result before it takes its name."""

import contextlib
import json
import logging
import os
import warnings
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from youtube8m_distill import files, schema
from youtube8m_distill.config import NetworkConfig, Reading
from youtube8m_distill.config.export import ExportConfig
from youtube8m_distill.data.contents import find_layout
from youtube8m_distill.data.parsing.batch import Records, VideoParser
from youtube8m_distill.data.parsing.layout import Layout, official_layout
from youtube8m_distill.data.tfrecord import Shard
from youtube8m_distill.display import hidden_stderr
from youtube8m_distill.errors import in_one_line
from youtube8m_distill.export import about, verification, vocabulary
from youtube8m_distill.export.litert import load_litert, write_litert
from youtube8m_distill.export.onnx import load_onnx, write_onnx
from youtube8m_distill.export.openvino import load_openvino, write_openvino
from youtube8m_distill.export.packages import require_packages
from youtube8m_distill.export.saved_model import RECORDS, load_saved_model, write_saved_model
from youtube8m_distill.export.verification import Verification
from youtube8m_distill.families.inference import InferenceModel
from youtube8m_distill.metrics.gap import GlobalAveragePrecision
from youtube8m_distill.metrics.ranking import ranking_from_top
from youtube8m_distill.runs import sample_videos
from youtube8m_distill.runs.run import Run
from youtube8m_distill.settings import require

CALIBRATION_VIDEOS = 200
LOAD = {"saved_model": load_saved_model, "litert": load_litert, "onnx": load_onnx, "openvino": load_openvino}

logger = logging.getLogger(__name__)


def export_network(
    run: Run,
    output_dir: str | os.PathLike[str],
    config: ExportConfig | None = None,
    network: str | None = None,
    checkpoint: str | int = "best",
    verify_shards: Sequence[Shard] = (),
    calibration_shards: Sequence[Shard] = (),
    reading: Reading | None = None,
    verify_videos: int = 256,
    names: dict[int, str] | None = None,
) -> Verification:
    """Writes a network for another runtime, loads it there, and compares its predictions with the network's.

    The folder holds the network and `export.json`: its inputs, where it comes from, and the Verification. It appears only if
    no prediction is off by more than the tolerance. The network computes in float32, whatever it was trained in.

    Args:
        run: from `open_run`.
        output_dir: a folder; new or empty.
        config: a SavedModel by default.
        network: "teacher" or "student"; None for the run's main one.
        checkpoint: "best", "last" or a step.
        verify_shards: files of the videos to compare on, with labels or without; random numbers if there are none. Copies
            of 1 to more than all frames are added.
        calibration_shards: files for full_int8, of which the first 200 videos are read.
        reading: how the records are read; None for how the run's were, but always whole videos.
        verify_videos: the most videos of `verify_shards` to read.
        names: of classes, by index, to write to `vocabulary.csv` in the folder.
    Raises:
        SettingError: if settings are wrong, the folder is in use, a package is missing, or the tolerance is exceeded.
        FileNotFoundError, ValueError: if there is no such checkpoint, or the network cannot be converted.
    """
    config = config or ExportConfig()
    require_packages(config)
    files.check_new_folder("output_dir", output_dir)
    reason = "is missing: full_int8 needs videos to find the ranges of its numbers."
    require(calibration_shards or not config.is_calibrated, "calibration_data_pattern", reason)
    role, seed = run.role(network), run.config.training.seed
    network_config = run.config.networks[role]
    reading = reading or run.config.reading.replace(segment_labels=False, segment_label_ids_file="")
    model, progress = run.load_network(role, checkpoint)
    layout = _layout(network_config, reading, verify_shards or calibration_shards)
    videos, num_own = _videos(network_config, seed, layout, verify_shards, verify_videos)
    with files.atomic_path(output_dir) as folder:
        folder.mkdir()
        calibration = _calibration(network_config, seed, reading, calibration_shards) if config.is_calibrated else None
        with _naming(f"the {network_config.model} cannot be converted to {_name(config)}"):
            signature = _write(folder, model, config, network_config, seed, layout, calibration)
        with _naming(f"the {network_config.model} was converted to {_name(config)}, but cannot be run"):
            found = _verify(folder, model, config, videos, num_own, sorted(signature))
        contents = {
            "format": about.FORMAT,
            "train_dir": os.path.abspath(run.folder),
            "network": role,
            "checkpoint_step": progress.step,
            **network_config.to_dict(),
            "reading": reading.to_dict(),
            "seed": seed,
            "inputs": {name: {"shape": list(spec.shape), "dtype": spec.dtype} for name, spec in signature.items()},
            "records": layout._asdict() if config.format == "saved_model" else None,
            "versions": {"tensorflow": tf.__version__, "keras": keras.__version__},
            "verification": found.to_dict(),
        }
        (folder / about.FILE).write_text(json.dumps(contents, indent=2) + "\n", encoding="utf-8")
        if names is not None:
            (folder / vocabulary.FILE).write_text(vocabulary.as_text(names), encoding="utf-8")
        title = f"{run.config.title(role)} of step {progress.step} in {run.folder}"
        logger.info("\n".join([f"The {title}, as {_name(config)}:", *found.table()]))
        frames = "" if found.num_frames is None else f" for a video of {found.largest_difference_frames} frame(s)"
        reason = f"is exceeded: a prediction of the exported {title} is off by {found.largest_difference:.2g}{frames}."
        advice = _advice(config, verify_shards)
        require(found.passed, "tolerance", f"{reason} Nothing was written. {advice}", config.limit)
    return found


@contextlib.contextmanager
def _naming(what):
    """Turns the errors of converters and runtimes, of many types, into ValueErrors; hides what their libraries deprecate."""
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    except (OSError, MemoryError):
        raise
    except Exception as error:
        raise ValueError(f"{what}: {in_one_line(error)}") from error


def _name(config):
    return config.format if config.quantization == "none" else f"{config.format} with {config.quantization}"


def _advice(config, verify_shards):
    """What to do if the tolerance is exceeded."""
    larger = "Choose a larger tolerance if that is good enough"
    if config.quantization == "none":
        return f"{larger}."
    real = "" if verify_shards else ", compare on real videos (verify_data_pattern)"
    return f"{larger}{real}, or choose a weaker quantization."


def _layout(config, reading, shards) -> Layout:
    """How files store the network's features; without files, as the run reads them."""
    if shards:
        return find_layout(shards, config.features, reading)
    layout = official_layout(config.features)
    kinds = ("packed floats",) * len(layout.kinds) if reading.feature_dtype == "float32" else layout.kinds
    return layout._replace(kinds=kinds if config.view else layout.kinds, pad_missing_features=reading.pad_missing_features)


def _videos(config: NetworkConfig, seed, layout, shards, most):
    """The videos to compare on: those of files or random ones, then copies of many lengths; and how many are no copies."""
    own = sample_videos.read_some(shards, most) if shards else sample_videos.synthetic_records(config.features, layout)
    copies = sample_videos.of_all_lengths(own, config.view) if config.view else []
    return sample_videos.parse([*own, *copies], config, seed, layout, with_labels=bool(shards)), len(own)


def _calibration(config, seed, reading, shards):
    """The inputs of some videos, one by one, by name."""
    layout = find_layout(shards, config.features, reading)
    records = sample_videos.read_some(shards, CALIBRATION_VIDEOS)
    return sample_videos.parse(records, config, seed, layout, with_labels=False).inputs


def _write(folder, model, config, network, seed, layout, calibration) -> dict[str, keras.InputSpec]:
    """Writes the network in one format; returns its inputs."""
    inference = InferenceModel(model, ["predictions"])
    signature = model.input_signature(None if network.view is None else network.view.max_frames)
    (inputs,) = signature
    if config.format == "saved_model":
        write_saved_model(folder, inference, signature, _of_records(inference, inputs, network, seed, layout))
    elif config.format == "litert":
        batches = [] if calibration is None else verification.batches({name: calibration[name] for name in inputs}, 1)
        with hidden_stderr():  # the converter prints its settings
            write_litert(folder, inference, signature, config.quantization, batches)
    elif config.format == "onnx":
        write_onnx(folder, inference, signature)
    else:
        write_openvino(folder, inference, signature)
    return inputs


def _of_records(model, inputs, network, seed, layout):
    """A function from serialized records, string [B], to video ids and predictions, in TensorFlow's operations alone."""
    role = schema.TEACHER  # any name
    parser = VideoParser(
        network.features, network.num_classes, {role: network.view}, seed, layout, with_labels=False, portable=True
    )

    def of_records(serialized):
        numbers = tf.range(tf.size(serialized, tf.int64))
        paths = tf.fill(tf.shape(serialized), "request")
        batch = parser(Records(serialized, paths, numbers, tf.zeros_like(numbers)))
        outputs = model({name: batch[role][name] for name in inputs})
        return {schema.VIDEO_ID: batch[schema.VIDEO_ID], **outputs}

    return of_records


def _verify(folder, model, config, videos, num_own, names) -> Verification:
    """Loads an exported network, compares it, and measures it."""
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    inputs = videos.named(names)
    first, *_ = verification.batches(inputs, 1)
    with hidden_stderr():  # in its first run, LiteRT prints how it computes
        predict = LOAD[config.format](folder)
        predict(first)
    expected = verification.predict_in_batches(lambda part: model(part, training=False)["predictions"].numpy(), inputs)
    found = verification.predict_in_batches(predict, inputs)
    differences = verification.largest_differences(found, expected)
    if config.format == "saved_model":
        of_records = verification.predict_in_batches(predict, {RECORDS: videos.records})
        differences = np.maximum(differences, verification.largest_differences(of_records, expected))
    batch, *_ = verification.batches(inputs)
    seconds, runs = verification.measure(predict, first)
    batch_seconds, batch_runs = verification.measure(predict, batch)
    frames = videos.stored_frames
    return Verification(
        format=config.format,
        quantization=config.quantization,
        size_bytes=size,
        num_videos=len(expected),
        num_frames=None if frames is None else (int(frames.min()), int(frames.max())),
        largest_difference=float(differences.max()),
        largest_difference_frames=None if frames is None else int(frames[differences.argmax()]),
        tolerance=config.limit,
        gap_at_20=_gap(found[:num_own], videos.labels),
        gap_at_20_source=_gap(expected[:num_own], videos.labels),
        latency_ms=1000 * seconds,
        videos_per_second=len(next(iter(batch.values()))) / batch_seconds,
        runs=(runs, batch_runs),
    )


def _gap(predictions, labels) -> float | None:
    """GAP@20; None without labels, or if a prediction is not finite."""
    labels = None if labels is None else labels[: len(predictions)]
    if labels is None or not labels.any() or not np.all(np.isfinite(predictions)):
        return None
    classes = np.argsort(-predictions, axis=1, kind="stable")[:, : schema.TOP_K]
    gap = GlobalAveragePrecision()
    gap.update_state(ranking_from_top(labels, classes, np.take_along_axis(predictions, classes, axis=1)))
    return gap.result()
