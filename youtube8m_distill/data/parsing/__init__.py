"""Serialized records to tensors."""
