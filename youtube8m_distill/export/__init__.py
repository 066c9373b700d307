"""What leaves the project: the Kaggle CSV."""

from youtube8m_distill.export.kaggle import write_predictions
