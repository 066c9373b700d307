"""Parameters and multiply-adds of every network family at its published size, for the table in docs/families.md.

    python benchmarks/family_costs.py

Parameters are trainable parameters with 3,862 classes. Multiply-adds are those of the matrix products in the whole network,
including the classifier, for a video with 300, 30, and 10 frames.
"""

import math
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

from absl import app

from youtube8m_distill import config, schema
from youtube8m_distill.families.build import build_model

FRAMES = (300, 30, 10)


def main(_):
    print("| model | parameters | " + " | ".join(f"{frames} frames" for frames in FRAMES) + " |\n" + "|---" * 5 + "|")
    for model in config.MODELS:
        parameters, costs = measure(model)
        print(
            f"| {model} | {parameters / 1e6:.1f} M | " + " | ".join(f"{cost / 1e9:.3f} G" for cost in costs) + " |",
            flush=True,
        )


def measure(model):
    """Trainable parameters, and multiply-adds for each number of frames."""
    networks = [published(model, frames) for frames in FRAMES]
    network = build_model(networks[0])
    parameters = sum(math.prod(weight.shape) for weight in network.trainable_weights)
    costs = [network.multiply_adds(FRAMES[0])]
    for settings, frames in zip(networks[1:], FRAMES[1:]):
        if settings.family != networks[0].family:  # the block length depends on the number of frames
            network = build_model(settings)
        costs.append(network.multiply_adds(frames))
    return parameters, costs


def published(model, frames):
    """The published NetworkConfig of a family, for a number of frames."""
    if model in config.VIDEO_LEVEL_MODELS:
        return config.network_config(model)
    whole = frames == schema.MAX_FRAMES
    return config.network_config(
        model, view=config.FrameView() if whole else config.FrameView(frame_selection="uniform", frames_per_video=frames)
    )


if __name__ == "__main__":
    app.run(main)
