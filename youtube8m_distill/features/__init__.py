"""From videos, arrays, and MediaPipe's files to records: decoding, extractors, labels, and writing."""
