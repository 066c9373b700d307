"""Deep bag of frames (Abu-El-Haija et al. 2016)."""
