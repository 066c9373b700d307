"""Data sets of the official format with planted structure."""
