"""Exports: the Kaggle CSV, and the CSV of the segment challenge."""

from youtube8m_distill.export.formula_guard import spreadsheet_safe
from youtube8m_distill.export.kaggle import Predictions, read_predictions, write_predictions
from youtube8m_distill.export.segments import ClassSegments, read_segments, write_segments
