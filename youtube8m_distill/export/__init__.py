"""Exports: the Kaggle CSV."""

from youtube8m_distill.export.kaggle import Predictions, read_predictions, write_predictions
from youtube8m_distill.export.spreadsheet import spreadsheet_safe
