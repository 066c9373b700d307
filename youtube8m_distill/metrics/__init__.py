"""Metrics: per video, over all videos, and all of them together for an evaluation."""
