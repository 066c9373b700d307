"""YouTube-8M in TensorFlow 2 / Keras 3: teachers that see every frame, students that see a few."""

__version__ = "0.1.0"
