"""Every command: the module that does its work, and the checks that need nothing but flags. Imports no TensorFlow."""

import importlib.util
import inspect
from collections.abc import Callable
from typing import NamedTuple

from youtube8m_distill import files
from youtube8m_distill.cli import run_config, values
from youtube8m_distill.cli.definitions import networks, predictions, records, training
from youtube8m_distill.cli.flags import FLAGS
from youtube8m_distill.config import CascadeOptions
from youtube8m_distill.config.export import ExportConfig
from youtube8m_distill.config.features import FeaturesConfig, PackConfig
from youtube8m_distill.config.synthetic import SyntheticConfig
from youtube8m_distill.display import hidden_stderr
from youtube8m_distill.errors import SettingError

OUTPUTS = {"output_dir": True, "output_file": False, "output_model_tgz": False}  # flag -> whether it is a folder


def check_evaluate():
    if not FLAGS.run_once and FLAGS.checkpoint not in ("", "last"):
        raise SettingError("checkpoint", "names one checkpoint; add --run_once.", FLAGS.checkpoint)


def check_infer():
    if FLAGS.segment_labels:
        values.value_exponents()
        for name in ("vocabulary", "output_model_tgz"):
            if FLAGS[name].present:
                raise SettingError(name, "has no effect with --segment_labels; leave it out.", FLAGS[name].value)
    for name in ("candidate_dir", "segment_max_pred", "segment_frames", "value_exponents", "segment_label_ids_file"):
        if FLAGS[name].present and not FLAGS.segment_labels:
            raise SettingError(name, "has an effect only with --segment_labels.", FLAGS[name].value)
    if FLAGS.value_exponents != ["0.05", "0.95"] and not FLAGS.candidate_dir:
        raise SettingError("value_exponents", "has an effect only with --candidate_dir.", FLAGS.value_exponents)
    if FLAGS.train_dir and FLAGS.input_model_tgz:
        raise SettingError("input_model_tgz", "replaces --train_dir; give only one of them.", FLAGS.input_model_tgz)
    if not FLAGS.train_dir and not FLAGS.input_model_tgz:
        raise SettingError("train_dir", "is missing, and so is --input_model_tgz; see --helpshort.")
    if FLAGS.untar_model_dir and not FLAGS.input_model_tgz:
        raise SettingError("untar_model_dir", "has no effect without --input_model_tgz.", FLAGS.untar_model_dir)


def check_export():
    from youtube8m_distill.export.packages import require_packages

    config = values.settings_given(ExportConfig)
    calibrated, pattern = config.is_calibrated, FLAGS.calibration_data_pattern
    if calibrated and not pattern:
        reason = "needs --calibration_data_pattern: videos from which the ranges of its numbers are found."
        raise SettingError("quantization", reason, config.quantization)
    if pattern and not calibrated:
        raise SettingError("calibration_data_pattern", "has an effect only with --quantization=full_int8.", pattern)
    if FLAGS["verify_videos"].present and not FLAGS.verify_data_pattern:
        raise SettingError("verify_videos", "has an effect only with --verify_data_pattern.", FLAGS.verify_videos)
    files.check_new_folder("output_dir", FLAGS.output_dir)
    require_packages(config)


def check_pack():
    values.settings_given(PackConfig)
    files.check_new_folder("output_dir", FLAGS.output_dir)


def check_features():
    values.settings_given(FeaturesConfig)
    if importlib.util.find_spec("av") is None:
        raise ValueError("reading videos needs PyAV: pip install 'av>=18' (the extra `features`).")


def check_package():
    if FLAGS.output_dir and FLAGS.output_model_tgz:
        raise SettingError("output_model_tgz", "replaces --output_dir; give only one of them.", FLAGS.output_model_tgz)
    if FLAGS.output_dir:
        files.check_new_folder("output_dir", FLAGS.output_dir)
    elif not FLAGS.output_model_tgz:
        raise SettingError("output_dir", "is missing, and so is --output_model_tgz; see --helpshort.")


def check_beam():
    if importlib.util.find_spec("apache_beam") is None:
        reason = (
            "needs Apache Beam, which is not installed. In a checkout, install it in an environment of its own: "
            "pip install --constraint constraints-beam.txt '.[beam]'."
        )
        raise SettingError("runner", reason, FLAGS.runner)
    if FLAGS.runner == "DataflowRunner" and importlib.util.find_spec("apitools") is None:
        raise SettingError("runner", "needs Google's packages: pip install 'apache-beam[gcp]'.", FLAGS.runner)
    with hidden_stderr():  # Beam prints what cannot be turned off
        importlib.import_module("apache_beam")


class Command(NamedTuple):
    """One command."""

    module: str  # in cli/, whose `main` does the work
    define_flags: Callable[[], None]
    required: tuple[str, ...] = ()  # flags
    check_settings: Callable[[], object] = lambda: None  # raises SettingError
    uses_tensorflow: bool = True  # from the start; yt8m predict decides by what it is given
    takes_arguments: bool = False  # that are not flags: names of files, or options of Beam
    writes_anywhere: bool = False  # whether outputs may be on other machines
    about_unknown_flags: str = ""  # advice

    @property
    def description(self) -> str:
        return inspect.getdoc(self.define_flags) or ""

    def check_flags(self) -> None:
        """Raises SettingError for flags that are wrong whatever the files hold."""
        for name in self.required:
            if not FLAGS[name].value:
                raise SettingError(name, "is missing; see --helpshort.")
        for name, is_folder in OUTPUTS.items():
            path = FLAGS[name].value if name in FLAGS else None
            if path and not (self.writes_anywhere and "://" in path):
                files.check_output(name, path, is_folder)
        self.check_settings()


COMMANDS = {
    "train": Command("train", training.train, ("train_data_pattern",), run_config.check_flags),
    "eval": Command("eval", predictions.evaluate, ("train_dir", "eval_data_pattern"), check_evaluate),
    "infer": Command("inference", predictions.infer, ("input_data_pattern", "output_file"), check_infer),
    "predict": Command("predict", predictions.predict, ("train_dir",), uses_tensorflow=False, takes_arguments=True),
    "compact": Command(
        "compact", records.compact, ("input_data_pattern", "output_dir"), lambda: values.frame_view("uniform")
    ),
    "synthesize": Command("synthesize", records.synthesize, ("output_dir",), lambda: values.settings_given(SyntheticConfig)),
    "features": Command("features", records.features, ("output_file",), check_features, takes_arguments=True),
    "pack": Command("pack", records.pack, ("output_dir",), check_pack, takes_arguments=True),
    "extract": Command("extract", networks.extract, ("train_dir", "submodel", "output_dir")),
    "export": Command("export", networks.export, ("train_dir", "output_dir"), check_export),
    "package": Command("package", networks.package, ("train_dir",), check_package),
    "check": Command("check", records.check, ("input_data_pattern",)),
    "segment-eval": Command("segment_eval", predictions.segment_eval, ("predictions", "labels")),
    "ensemble": Command("ensemble", predictions.ensemble, ("output_file",), takes_arguments=True),
    "cascade": Command(
        "cascade",
        predictions.cascade,
        ("train_dirs", "validation_data_pattern", "output_dir"),
        lambda: values.settings_given(CascadeOptions),
    ),
    "beam": Command(
        "beam",
        predictions.beam,
        ("input_data_pattern", "train_dir", "output_dir"),
        check_beam,
        takes_arguments=True,
        writes_anywhere=True,
        about_unknown_flags="Options of Beam follow `--`, after all other flags.",
    ),
    "demo": Command("demo", training.demo, uses_tensorflow=False),
}
