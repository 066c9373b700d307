"""Hierarchical LSTM (Bhardwaj et al., CVPR 2019)."""
