"""Command lines: one module for each thing to do."""
