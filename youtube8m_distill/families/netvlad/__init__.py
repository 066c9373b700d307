"""NetVLAD with context gating (Miech et al. 2017)."""
