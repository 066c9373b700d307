"""Classifiers on video-level files, whose mean features are the encoding (the starter code's video-level models)."""
