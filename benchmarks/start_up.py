"""How long each command takes to its first batch, or to its end with little work.

    python benchmarks/start_up.py

Each command runs in its own process, at full size: 3,862 classes, 1,024 cells, and for extract a mixture of the published
size. eval and infer process 8 videos, in one batch, to the end. train ends at its first batch, and in a second measurement
after its first step, which includes compilation. The other commands do little work. All files are in the page cache.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import time

from absl import flags

import figures
import inputs
from youtube8m_distill import config, schema

MOST_SECONDS = 15
SHARDS = flags.DEFINE_integer("shards", 1000, "Number of files of the large set.", 1)
IN_PROCESS, UNTIL_STEP = "--train-in-this-process", "--until-first-step"  # arguments that main reads


def measure():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        few = inputs.write_videos(folder / "few", [schema.MAX_FRAMES] * 8)
        many = inputs.write_videos(folder / "many", [10] * SHARDS.value, videos_per_shard=1)
        inputs.save_network(folder / "teacher", config.network_config())
        inputs.save_network(
            folder / "student", config.network_config(view=config.FrameView(frame_selection="uniform", frames_per_video=10))
        )
        inputs.save_network(folder / "mixture", config.network_config("MixNeXtVladModel"))
        train = [
            IN_PROCESS,
            f"--train_data_pattern={few}",
            "--batch_size=8",
            f"--train_dir={folder}/run",
            "--start_new_model",
        ]
        serial = [*train, "--mode=serial", f"--teacher_dir={folder}/teacher", "--frames_per_video=30"]
        shards = [argument.replace(few, many) for argument in train]
        csv = f"--output_file={folder}/predictions.csv"
        for what, command, *arguments in (
            ("train: a teacher", "train", *train),
            ("train: a teacher, to the end of its first step", "train", *train, UNTIL_STEP),
            ("train: a serial student", "train", *serial),
            ("train: a serial student, to the end of its first step", "train", *serial, UNTIL_STEP),
            (f"train: a teacher, {SHARDS.value:,} files", "train", *shards),
            ("eval: the teacher", "eval", "--run_once", f"--train_dir={folder}/teacher", f"--eval_data_pattern={few}"),
            ("infer: the teacher", "infer", f"--train_dir={folder}/teacher", f"--input_data_pattern={few}", csv),
            ("infer: the student", "infer", f"--train_dir={folder}/student", f"--input_data_pattern={few}", csv),
            (
                f"infer: the student, {SHARDS.value:,} files",
                "infer",
                f"--train_dir={folder}/student",
                f"--input_data_pattern={many}",
                csv,
            ),
            (
                "synthesize: 8 videos",
                "synthesize",
                f"--output_dir={folder}/synthetic",
                "--num_train_videos=8",
                "--num_validate_videos=0",
                "--num_test_videos=0",
                f"--num_classes={schema.NUM_CLASSES}",
            ),
            ("compact: 8 videos", "compact", f"--input_data_pattern={few}", f"--output_dir={folder}/compact"),
            (
                "extract: one network of a mixture of three",
                "extract",
                f"--train_dir={folder}/mixture",
                "--submodel=0",
                f"--output_dir={folder}/extracted",
            ),
        ):
            yield figures.Figure(
                what, seconds(command, arguments), "s", at_most=None if UNTIL_STEP in arguments else MOST_SECONDS
            )


def seconds(command, arguments):
    module = [__file__] if IN_PROCESS in arguments else ["-m", "youtube8m_distill", command]
    started = time.perf_counter()
    ran = subprocess.run([sys.executable, *module, *arguments], capture_output=True, text=True, check=False)
    taken = time.perf_counter() - started
    if ran.returncode:
        raise RuntimeError(f"{command} {' '.join(arguments)} failed: {ran.stderr.strip()}")
    return taken


def train_briefly():
    """Runs `yt8m train` in this process and exits at its first batch, or after its first step."""
    from youtube8m_distill.cli import main
    from youtube8m_distill.engine import callbacks
    from youtube8m_distill.schemes import scheme

    if UNTIL_STEP in sys.argv:
        callbacks.ProgressDisplay.on_train_batch_end = lambda self, step, logs=None: os._exit(0)
    else:
        scheme.TrainingScheme.train_step = lambda self, batch: os._exit(0)
    sys.argv = [argument for argument in sys.argv if argument not in (IN_PROCESS, UNTIL_STEP)]
    main.run("train")


if __name__ == "__main__":
    if IN_PROCESS in sys.argv:
        train_briefly()
    else:
        figures.run(measure)
