"""Files to tensors: finding, checking, parsing and batching YouTube-8M records, and writing synthetic ones."""

from youtube8m_distill.data.bad_records import BadRecordError, naming_bad_records
from youtube8m_distill.data.contents import check_features, detect_dtype
from youtube8m_distill.data.pipeline import make_dataset
from youtube8m_distill.data.synthetic.dataset import SyntheticConfig, write_dataset
from youtube8m_distill.data.tfrecord import Shard, count_records, estimate_records, find_files
