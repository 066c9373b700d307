"""NeXtVLAD (Lin, Xiao, Fan 2018)."""
