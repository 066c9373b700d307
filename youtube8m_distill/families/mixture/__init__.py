"""Mixtures of NeXtVLADs: Mix and MOD (Lin et al. 2019)."""
