"""Files to tensors: finding, checking, parsing and batching YouTube-8M records, and writing synthetic ones."""
