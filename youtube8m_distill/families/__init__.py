"""Network families, one folder each: frames in, encoding and class probabilities out."""
