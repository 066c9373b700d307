"""Every command: its description, its flags, and the checks that need nothing but flags. Imports no TensorFlow.

A command is a function that defines its flags; its docstring is what --helpshort prints. COMMANDS adds the module that
does the work.
"""

import dataclasses
import inspect
from collections.abc import Callable

from absl import flags

from youtube8m_distill import files, schema
from youtube8m_distill.cli import flags as our_flags
from youtube8m_distill.cli import run_config, setting_flags
from youtube8m_distill.config.synthetic import SyntheticConfig
from youtube8m_distill.errors import SettingError

FLAGS = flags.FLAGS
GROUPS = our_flags.GROUPS


def train():
    """Train a teacher, a baseline, or a student that learns from a teacher.

    A teacher that sees all frames, then a student that learns from it and sees 30:

        yt8m train --train_data_pattern='yt8m/train*.tfrecord' --train_dir=runs/teacher
        yt8m train --train_data_pattern='yt8m/train*.tfrecord' --train_dir=runs/student \\
            --mode=serial --teacher_dir=runs/teacher --frames_per_video=30

    With --validation_data_pattern='yt8m/validate0*.tfrecord', the best epoch is kept as well as the last. A run that was
    interrupted is resumed by the same command.
    """
    our_flags.define_files(
        "Data",
        ("train_data_pattern", "Globs of training files, comma-separated, local or gs://."),
        ("validation_data_pattern", "Globs of validation files: the best checkpoint is chosen on them."),
    )
    our_flags.define_exclusions()
    our_flags.define_training_folder()
    our_flags.define_distillation()
    our_flags.define_frames()
    our_flags.define_network()
    our_flags.define_training()
    our_flags.define_run()
    our_flags.define_refused(
        segment_labels=our_flags.SEGMENTS,
        export_model_steps="use --checkpoint_steps; evaluation and prediction need nothing but a checkpoint",
        iterations="use --frames_per_video; a network reads every frame that it is given",
        sample_random_frames="use --frame_selection=random; a network reads every frame that it is given",
        vlagd="this variant of NetVLAD is not in this version",
        moe_low_rank_gating="low-rank gates are not in this version",
        pretrain_model_path="use --init_from, with the training directory of the network to start from",
        final_temperature="use --cl_temperature, which holds for both levels of a mixture",
        final_lambda="use --cl_temperature; its square is the weight",
        cl_lambda="use --cl_temperature; its square is the weight",
        gpu="use CUDA_VISIBLE_DEVICES to choose devices and --num_gpu for their number",
        bagging="resampling the file list is not in this version",
    )


def evaluate():
    """Score a trained network on labeled files: GAP, mAP, Hit@1, PERR and loss.

        yt8m eval --train_dir=runs/student --eval_data_pattern='yt8m/validate*.tfrecord' --run_once

    Without --run_once, every new checkpoint is scored as it appears, until the command is interrupted.
    """
    our_flags.define_files(
        "Data",
        ("eval_data_pattern", "Globs of labeled files, comma-separated."),
        ("vocabulary", "Official vocabulary CSV: adds class names to the results per class."),
    )
    our_flags.define_exclusions()
    our_flags.define_trained_network()
    our_flags.define_top_k()
    flags.DEFINE_boolean("run_once", False, "Score one checkpoint and exit. Otherwise score every new one as it appears.")
    flags.DEFINE_boolean(
        "full_map",
        False,
        "Also compute the exact mAP over all predictions. Takes 4 bytes of disk per video and class meanwhile.",
    )
    flags.DEFINE_string(
        "output_dir",
        "",
        "Where metrics.json, per_class.csv and TensorBoard logs go. Default: eval/teacher or eval/student in --train_dir.",
    )
    GROUPS["Output"] += ["run_once", "full_map", "output_dir"]
    our_flags.define_run()
    our_flags.define_refused(segment_labels=our_flags.SEGMENTS, num_readers=our_flags.READERS)


def check_evaluate():
    if not FLAGS.run_once and FLAGS.checkpoint not in (None, "last"):
        raise SettingError("checkpoint", "names one checkpoint; add --run_once.", FLAGS.checkpoint)


def infer():
    """Predict the classes of videos with a trained network, as a Kaggle CSV.

        yt8m infer --train_dir=runs/student --input_data_pattern='yt8m/test*.tfrecord' --output_file=predictions.csv

    The files may have labels or not. The CSV appears when it is complete; if the command is interrupted, the same command
    resumes.
    """
    our_flags.define_files("Data", ("input_data_pattern", "Globs of the files to read, comma-separated."))
    our_flags.define_exclusions()
    our_flags.define_trained_network()
    flags.DEFINE_string(
        "input_model_tgz", "", "Archive to read the network from instead of --train_dir; --output_model_tgz writes one."
    )
    flags.DEFINE_string("untar_model_dir", "", "Folder to unpack that archive to and keep. Default: a temporary folder.")
    GROUPS["Network to use"] += ["input_model_tgz", "untar_model_dir"]
    our_flags.define_top_k()
    flags.DEFINE_string(
        "output_file",
        "",
        "The CSV to write, compressed if its name ends with .gz. Until it is complete, the folder "
        "OUTPUT_FILE.progress beside it holds the predictions so far.",
    )
    flags.DEFINE_string("output_model_tgz", "", "Also write the network's configuration and weights to this archive.")
    GROUPS["Output"] += ["output_file", "output_model_tgz"]
    our_flags.define_run()
    our_flags.define_refused(
        num_readers=our_flags.READERS,
        segment_labels=our_flags.SEGMENTS,
        segment_max_pred=our_flags.SEGMENTS,
        segment_label_ids_file=our_flags.SEGMENTS,
    )


def check_infer():
    if FLAGS.train_dir and FLAGS.input_model_tgz:
        raise SettingError("input_model_tgz", "replaces --train_dir; give only one of them.", FLAGS.input_model_tgz)
    if not FLAGS.train_dir and not FLAGS.input_model_tgz:
        raise SettingError("train_dir", "is missing, and so is --input_model_tgz; see --helpshort.")
    if FLAGS.untar_model_dir and not FLAGS.input_model_tgz:
        raise SettingError("untar_model_dir", "has no effect without --input_model_tgz.", FLAGS.untar_model_dir)
    for name in ("output_file", "output_model_tgz"):
        path = FLAGS[name].value
        if path:
            files.check_output(name, path)


def compact():
    """Write frame-level files that hold only the frames a student sees.

    They have the same names and the same format as the originals, and a fraction of their size:

        yt8m compact --input_data_pattern='yt8m/train*.tfrecord' --output_dir=yt8m_10 \\
            --frame_selection=uniform --frames_per_video=10

    Train, evaluate and predict on them with the same two flags; networks that see other frames refuse these files. If the
    command is interrupted, the same command resumes.
    """
    our_flags.define_files(
        "Data",
        ("input_data_pattern", "Globs of frame-level files, comma-separated."),
        ("output_dir", "Folder to write: new, empty, or partly written by the same command."),
    )
    our_flags.define_exclusions()
    our_flags.define_frames("Frames to keep", "uniform; strided if --every_n is given")
    flags.DEFINE_integer(
        "seed",
        0,
        "Seed of --frame_selection=random. The files hold the frames that a network trained with this seed sees when it is "
        "evaluated, and training on them sees the same frames in every epoch.",
        0,
    )
    GROUPS["Frames to keep"].append("seed")


def check_compact():
    our_flags.frame_view("uniform")
    files.check_output("output_dir", FLAGS.output_dir, folder=True)


def synthesize():
    """Write a synthetic data set in the official format, to try everything without a download.

        yt8m synthesize --output_dir=yt8m_sample

    This writes 3,700 videos of 100 classes, about 1 GB. With --from_video_level='yt8m/2/video/validate*.tfrecord', frames
    are synthesized around the means of real videos, which keep their ids and labels.
    """
    our_flags.define_files("Data set to write", ("output_dir", "Folder to write: new, empty, or from the same command."))
    GROUPS["Data set to write"] += setting_flags.define_all(SyntheticConfig)


def check_synthesize():
    files.check_output("output_dir", FLAGS.output_dir, folder=True)
    SyntheticConfig(**our_flags.given(*SyntheticConfig.model_fields))


def extract():
    """Take one network out of a trained mixture, as a training directory of its own.

        yt8m extract --train_dir=runs/mixture --submodel=0 --output_dir=runs/nextvlad_distill

    Evaluation, prediction, --teacher_dir and --init_from take the result like any other training directory.
    """
    our_flags.define_files(
        "Mixture",
        ("train_dir", "Training directory of the mixture."),
        (
            "submodel",
            "Which of its networks, counted from 0: 2 is member 2. In a MODNeXtVladModel, that is a mixture of three, and "
            "2.0 is the first network in it.",
        ),
    )
    flags.DEFINE_enum(
        "network", None, [schema.TEACHER, schema.STUDENT], "Which network of the run. Default: the student if there is one."
    )
    flags.DEFINE_string("checkpoint", "best", "best, last, or a step.")
    GROUPS["Mixture"] += ["network", "checkpoint"]
    our_flags.define_files("Output", ("output_dir", "The new training directory."))


def check_extract():
    files.check_output("output_dir", FLAGS.output_dir, folder=True)


def check():
    """Read every record of some files and report those that cannot be used.

        yt8m check --input_data_pattern='yt8m/*.tfrecord' --output_file=bad_records.csv

    The list names file, record and reason; training, evaluation, prediction and `yt8m compact` skip the records in it with
    --exclude_records=bad_records.csv. The exit code is 0 if every record can be used, 1 if any cannot.
    """
    our_flags.define_files("Data", ("input_data_pattern", "Globs of the files to check, comma-separated."))
    flags.DEFINE_integer(
        "num_classes", schema.NUM_CLASSES, "Classes of the data set; larger labels are bad. Give 4716 for files of 2017.", 1
    )
    flags.DEFINE_list("feature_names", None, "Features that every record must have. Default: those of the first record.")
    GROUPS["Data"] += ["num_classes", "feature_names"]
    our_flags.define_files("Output", ("output_file", "CSV to write, for --exclude_records. Default: none."))


def check_check():
    if FLAGS.output_file:
        files.check_output("output_file", FLAGS.output_file)


def demo():
    """Run every step on a small synthetic data set: teacher, baseline, two students, scores, predictions.

        yt8m demo --output_dir=demo

    Each step is one of the commands that real data take, and is printed before it runs. Networks, data set and batches are
    small, so that it takes a few minutes on two cores. Nothing else differs.
    """
    flags.DEFINE_string("output_dir", "demo", "Folder for the data set, the runs and predictions.csv.")
    flags.DEFINE_integer("seeds", 1, "Train everything with this many seeds and print means and standard deviations.", 1)
    GROUPS["Demo"] = ["output_dir", "seeds"]


def check_demo():
    files.check_output("output_dir", FLAGS.output_dir, folder=True)


@dataclasses.dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        module: the module in `cli/` whose `main()` does the work.
        define_flags: defines its flags; the docstring describes the command.
        required: names of the flags that must be given.
        check_flags: raises SettingError for flags that are wrong whatever the files hold.
        uses_tensorflow: whether TensorFlow is loaded before the module.
    """

    module: str
    define_flags: Callable[[], None]
    required: tuple[str, ...] = ()
    check_flags: Callable[[], None] = lambda: None
    uses_tensorflow: bool = True

    @property
    def description(self) -> str:
        return inspect.getdoc(self.define_flags) or ""


COMMANDS = {
    "train": Command("train", train, ("train_data_pattern",), run_config.check_flags),
    "eval": Command("eval", evaluate, ("train_dir", "eval_data_pattern"), check_evaluate),
    "infer": Command("inference", infer, ("input_data_pattern", "output_file"), check_infer),
    "compact": Command("compact", compact, ("input_data_pattern", "output_dir"), check_compact),
    "synthesize": Command("synthesize", synthesize, ("output_dir",), check_synthesize),
    "extract": Command("extract", extract, ("train_dir", "submodel", "output_dir"), check_extract),
    "check": Command("check", check, ("input_data_pattern",), check_check),
    "demo": Command("demo", demo, (), check_demo, uses_tensorflow=False),
}
