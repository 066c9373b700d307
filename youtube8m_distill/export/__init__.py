"""Exports: the Kaggle CSV."""

from youtube8m_distill.export.formula_guard import spreadsheet_safe
from youtube8m_distill.export.kaggle import Predictions, read_predictions, write_predictions
