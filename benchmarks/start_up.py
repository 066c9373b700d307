"""How long each command takes to its first batch, or to its end with a minimal job.

    python benchmarks/start_up.py

Commands run in processes of their own, at full size: 3862 classes, 1024 cells, a mixture of its published size for extract.
eval and inference score 8 videos, one batch, to their end. train ends at its first batch, and in a second measurement after
the first step, which includes compilation. The others do a minimal job. Files are in memory already.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import time

from absl import flags

import figures
import made_up
from youtube8m_distill import config, schema

MOST_SECONDS = 15
SHARDS = flags.DEFINE_integer("shards", 1000, "Files of the large set.", 1)
ALONE, UNTIL_STEP = "--a-little", "--until-first-step"  # a training in this process; its end


def measure():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        few = made_up.write_videos(folder / "few", [schema.MAX_FRAMES] * 8)
        many = made_up.write_videos(folder / "many", [10] * SHARDS.value, videos_per_shard=1)
        made_up.save_network(folder / "teacher", config.network_config())
        made_up.save_network(
            folder / "student", config.network_config(view=config.FrameView(frame_selection="uniform", frames_per_video=10))
        )
        made_up.save_network(folder / "mixture", config.network_config("MixNeXtVladModel"))
        train = [ALONE, f"--train_data_pattern={few}", "--batch_size=8", f"--train_dir={folder}/run", "--start_new_model"]
        serial = [*train, "--mode=serial", f"--teacher_dir={folder}/teacher", "--frames_per_video=30"]
        shards = [argument.replace(few, many) for argument in train]
        csv = f"--output_file={folder}/predictions.csv"
        for what, command, *arguments in (
            ("train: a teacher", "train", *train),
            ("train: a teacher, its first step compiled and done", "train", *train, UNTIL_STEP),
            ("train: a student of a teacher", "train", *serial),
            ("train: a student of a teacher, its first step compiled and done", "train", *serial, UNTIL_STEP),
            (f"train: a teacher, {SHARDS.value:,} files", "train", *shards),
            ("eval: the teacher", "eval", "--run_once", f"--train_dir={folder}/teacher", f"--eval_data_pattern={few}"),
            ("inference: the teacher", "infer", f"--train_dir={folder}/teacher", f"--input_data_pattern={few}", csv),
            ("inference: the student", "infer", f"--train_dir={folder}/student", f"--input_data_pattern={few}", csv),
            (
                f"inference: the student, {SHARDS.value:,} files, to the end",
                "infer",
                f"--train_dir={folder}/student",
                f"--input_data_pattern={many}",
                csv,
            ),
            (
                "synthesize: 8 videos",
                "synthesize",
                f"--output_dir={folder}/made",
                "--num_train_videos=8",
                "--num_validate_videos=0",
                "--num_test_videos=0",
                f"--num_classes={schema.NUM_CLASSES}",
            ),
            ("compact: 8 videos", "compact", f"--input_data_pattern={few}", f"--output_dir={folder}/compact"),
            (
                "extract: one of a mixture of three",
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
    module = [__file__] if ALONE in arguments else ["-m", "youtube8m_distill", command]
    started = time.perf_counter()
    ran = subprocess.run([sys.executable, *module, *arguments], capture_output=True, text=True, check=False)
    taken = time.perf_counter() - started
    if ran.returncode:
        raise RuntimeError(f"{command} {' '.join(arguments)} failed: {ran.stderr.strip()}")
    return taken


def train_a_little():
    """Runs train.py in this process and ends it at its first batch, or after its first step."""
    from youtube8m_distill.cli import main
    from youtube8m_distill.engine import callbacks
    from youtube8m_distill.schemes import scheme

    if UNTIL_STEP in sys.argv:
        callbacks.ProgressDisplay.on_train_batch_end = lambda self, step, logs=None: os._exit(0)
    else:
        scheme.TrainingScheme.train_step = lambda self, batch: os._exit(0)
    sys.argv = [argument for argument in sys.argv if argument not in (ALONE, UNTIL_STEP)]
    main.run("train")


if __name__ == "__main__":
    if ALONE in sys.argv:
        train_a_little()
    else:
        figures.run(measure)
