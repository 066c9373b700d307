"""Statistics of synthetic frames next to those measured on real YouTube-8M records.

    python benchmarks/synthetic_statistics.py [--num_videos=300]

The real statistics were measured on the means of 5,889 validation videos of 2018 and on the frames of one real video of 170
seconds.
"""

import os
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import numpy as np
from absl import app, flags

from youtube8m_distill import config
from youtube8m_distill.data.find_files import find_files
from youtube8m_distill.data.parsing.batch import VideoParser
from youtube8m_distill.data.pipeline import make_dataset
from youtube8m_distill.data.quantize import dequantize
from youtube8m_distill.data.synthetic.dataset import SyntheticConfig, write_dataset

NUM_VIDEOS = flags.DEFINE_integer("num_videos", 300, "Number of videos to generate.", 50)
LAGS = (1, 2, 5, 10, 20)
PARTS = {"rgb": slice(0, 1024), "audio": slice(1024, 1152)}
MEASURED = {
    "rgb": {
        "norm of a video's mean": 13.7,
        "variance between videos": 0.21,
        "variance within a video": 0.94,
        "autocorrelation": (0.40, 0.27, 0.14, 0.04, 0.00),
        "fifths from the mean": (8.9, 8.2, 9.7, 12.3, 13.1),
    },
    "audio": {
        "norm of a video's mean": 7.5,
        "variance between videos": 0.47,
        "variance within a video": 0.85,
        "autocorrelation": (0.47, 0.37, 0.20, 0.08, 0.01),
    },
}


def main(_):
    videos = list(generate_videos(NUM_VIDEOS.value))
    print(f"{'':<8}{'':<26}{'synthetic':<34}measured on real records")
    for part, columns in PARTS.items():
        found = statistics([video[:, columns] for video in videos])
        for name, measured in MEASURED[part].items():
            print(f"{part:<8}{name:<26}{formatted(found[name]):<34}{formatted(measured)}")


def generate_videos(count):
    """Yields the dequantized frames of each synthetic video: float [N, 1152]."""
    with tempfile.TemporaryDirectory() as folder:
        write_dataset(
            SyntheticConfig(num_train_videos=count, num_validate_videos=0, num_test_videos=0, num_classes=100), folder
        )
        parser = VideoParser(config.FeatureConfig(), 100, {"teacher": config.FrameView()})
        for batch in make_dataset(find_files(f"{folder}/train*.tfrecord"), parser, 1).as_numpy_iterator():
            yield dequantize(batch["teacher"]["frames"][0, : batch["teacher"]["num_frames"][0]])


def statistics(videos):
    means = np.array([video.mean(axis=0) for video in videos])
    deviations = [video - video.mean(axis=0) for video in videos]
    long = [video for video in videos if len(video) >= 100]
    fifths = [
        [np.linalg.norm(fifth.mean(axis=0) - video.mean(axis=0)) for fifth in np.array_split(video, 5)] for video in long
    ]
    return {
        "norm of a video's mean": np.linalg.norm(means, axis=1).mean(),
        "variance between videos": means.var(axis=0).mean(),
        "variance within a video": np.mean([(deviation**2).mean() for deviation in deviations]),
        "autocorrelation": [
            np.mean([autocorrelation(deviation, lag) for deviation in deviations if len(deviation) > 60]) for lag in LAGS
        ],
        "fifths from the mean": np.mean(fifths, axis=0),
    }


def autocorrelation(deviation, lag):
    return (deviation[lag:] * deviation[:-lag]).mean() / (deviation**2).mean()


def formatted(value):
    return " ".join(f"{number:.2f}" for number in np.atleast_1d(value))


if __name__ == "__main__":
    app.run(main)
