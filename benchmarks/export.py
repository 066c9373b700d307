"""What exporting gains: videos per second, megabytes, and GAP of a student of 10 frames in every format, and of its teacher.

    python benchmarks/export.py [--teacher_dir=runs/teacher --student_dir=runs/student --data='yt8m/validate*.tfrecord'
        --calibration_data='yt8m/train0*.tfrecord'] [--videos=1000]

Without runs, small ones are trained on a synthetic set first. All numbers are of the same records and the same machine;
throughput is in batches of 32 videos, from frames to predictions, without reading.
"""

import pathlib
import subprocess
import sys
import tempfile

from absl import flags

import figures
import youtube8m_distill as yt8m

TEACHER = flags.DEFINE_string("teacher_dir", None, "Training directory of the teacher. Default: train a small one.")
STUDENT = flags.DEFINE_string("student_dir", None, "Training directory of its student.")
DATA = flags.DEFINE_string("data", None, "Globs of labeled files.")
CALIBRATION = flags.DEFINE_string("calibration_data", None, "Globs of files for full_int8.")
VIDEOS = flags.DEFINE_integer("videos", 1000, "Videos that GAP is computed on.", 1)

FORMATS = {
    "saved_model": yt8m.ExportConfig(tolerance=1.0),
    **{
        f"litert {name}": yt8m.ExportConfig(format="litert", quantization=name, tolerance=1.0)
        for name in ("none", "float16", "dynamic_int8", "full_int8")
    },
    "onnx": yt8m.ExportConfig(format="onnx", tolerance=1.0),
    "openvino": yt8m.ExportConfig(format="openvino", tolerance=1.0),
}
OF_TEACHER = ("saved_model", "litert none")


def measure():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        given = TEACHER.value, STUDENT.value, DATA.value, CALIBRATION.value
        teacher, student, data, calibration = map(str, given if all(given) else train_small_ones(folder))
        found = {}
        for role, run, names in (("teacher", teacher, OF_TEACHER), ("student", student, FORMATS)):
            for name in names:
                what = f"{role}, {name}"
                found[what] = result = yt8m.export_network(
                    yt8m.open_run(run),
                    folder / what,
                    FORMATS[name],
                    verify_shards=yt8m.find_files(data),
                    calibration_shards=yt8m.find_files(calibration),
                    verify_videos=VIDEOS.value,
                )
                yield figures.Figure(f"{what}, throughput", result.videos_per_second, "videos/s")
                yield figures.Figure(f"{what}, latency", result.latency_ms, "ms")
                yield figures.Figure(f"{what}, size", result.size_bytes / 1e6, "MB")
                yield figures.Figure(f"{what}, GAP@20", result.gap_at_20 or 0.0, "")
        small, large = found["student, litert full_int8"], found["teacher, saved_model"]
        faster = small.videos_per_second / large.videos_per_second
        yield figures.Figure("full_int8 student over float32 teacher, throughput", faster, "x")
        yield figures.Figure("full_int8 student over float32 teacher, size", small.size_bytes / large.size_bytes, "x")


def train_small_ones(folder):
    """A teacher of all frames and its serial student of 10, of 64 cells, and the patterns of their files."""
    sizes = yt8m.SyntheticConfig(num_train_videos=1000, num_validate_videos=VIDEOS.value, num_test_videos=0, num_classes=50)
    yt8m.write_dataset(sizes, folder / "data")
    train, validate = (str(folder / f"data/{split}*.tfrecord") for split in ("train", "validate"))
    teacher, student = folder / "runs/teacher", folder / "runs/student"
    common = [f"--train_data_pattern={train}", "--batch_size=50", "--num_epochs=5", "--base_learning_rate=0.005"]
    yt8m_train(*common, "--num_classes=50", "--lstm_cells=64", f"--train_dir={teacher}")
    yt8m_train(*common, "--mode=serial", "--frames_per_video=10", f"--teacher_dir={teacher}", f"--train_dir={student}")
    return teacher, student, validate, train


def yt8m_train(*arguments):
    subprocess.run([sys.executable, "-m", "youtube8m_distill", "train", *arguments], check=True)


if __name__ == "__main__":
    figures.run(measure)
