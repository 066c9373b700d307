"""Files to tensors: finding, checking, parsing and batching YouTube-8M records, and writing synthetic ones."""

from youtube8m_distill.data.bad_records import BadRecordError
from youtube8m_distill.data.bad_records import naming_bad_records
from youtube8m_distill.data.contents import check_features
from youtube8m_distill.data.contents import detect_dtype
from youtube8m_distill.data.pipeline import make_dataset
from youtube8m_distill.data.sources import Shard
from youtube8m_distill.data.sources import count_records
from youtube8m_distill.data.sources import estimate_records
from youtube8m_distill.data.sources import find_files
from youtube8m_distill.data.synthetic import SyntheticConfig
from youtube8m_distill.data.synthetic import write_dataset
