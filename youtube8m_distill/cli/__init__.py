"""Command lines: one module for each thing to do."""

from youtube8m_distill.cli import quiet as quiet  # before any module here imports TensorFlow
