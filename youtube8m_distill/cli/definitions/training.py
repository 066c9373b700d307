"""Flags and help of the commands for training."""

import pathlib

from youtube8m_distill import config as configs
from youtube8m_distill.cli import flags as our_flags
from youtube8m_distill.cli import starter_flags
from youtube8m_distill.cli.flags import Flag, define, fields


def train():
    """Train a teacher, a baseline, or a student that learns from a teacher.

    A teacher that sees all frames, then a student that learns from it and sees 30:

        yt8m train --train_data_pattern='yt8m/train*.tfrecord' --train_dir=runs/teacher
        yt8m train --train_data_pattern='yt8m/train*.tfrecord' --train_dir=runs/student \\
            --mode=serial --teacher_dir=runs/teacher --frames_per_video=30

    With --validation_data_pattern='yt8m/validate0*.tfrecord', the best epoch is kept as well as the last. A run that was
    interrupted is resumed by the same command.
    """
    files_to_read = fields(configs.RunConfig, "train_data_pattern", "validation_data_pattern", "exclude_records")
    define("Data", **files_to_read, **our_flags.READING)
    folder = "Folder for checkpoints, config.json and logs. A run that is there is resumed."
    replace = "Replace the run in --train_dir. A folder that holds anything else is never touched."
    define("Folder", train_dir=Flag(folder, pathlib.Path, "/tmp/yt8m_model/"), start_new_model=Flag(replace, bool, False))
    define("Recipe", **fields(configs.RunConfig, "recipe"))
    our_flags.define_distillation()
    our_flags.define_frames(
        "Frames that the network sees; with --mode=serial or parallel, the student",
        "all with --mode=teacher and for students that choose their frames (SkipFrameModel), otherwise uniform; uniform if "
        "--frames_per_video is given, strided if --every_n is",
    )
    our_flags.define_network()
    our_flags.define_training()
    our_flags.define_devices()
    place = "Spread the members of a mixture over the GPUs; each sees the whole batch. Default: each GPU has all of them."
    define("Devices", place_members=Flag(place, bool, False))
    starter_flags.define_refused(
        export_model_steps="use --checkpoint_steps; evaluation and prediction need nothing but a checkpoint",
        **starter_flags.SAMPLED_FRAMES,
        vlagd="this variant of NetVLAD is not in this version",
        moe_low_rank_gating="low-rank gates are not in this version",
        pretrain_model_path="use --init_from, with the training directory of the network to start from",
        final_temperature="use --cl_temperature, which holds for both levels of a mixture",
        final_lambda="use --cl_temperature; its square is the weight",
        cl_lambda="use --cl_temperature; its square is the weight",
        gpu="use CUDA_VISIBLE_DEVICES to choose devices and --num_gpu for their number",
        bagging="resampling the file list is not in this version",
    )


def demo():
    """Run every step on a small synthetic data set: teacher, baseline, two students, scores, predictions.

        yt8m demo --output_dir=demo

    Each step is one of the commands that real data take, and is printed before it runs. Networks, data set and batches are
    small: it takes about 10 minutes on two cores. Nothing else differs.
    """
    define(
        "Demo",
        output_dir=Flag("Folder for the data set, the runs and predictions.csv.", pathlib.Path, "demo"),
        seeds=Flag("Train everything with this many seeds and print means and standard deviations.", int, 1, at_least=1),
    )
