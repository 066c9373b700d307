"""One run, one folder: its configuration, its training, and reading it again."""

from youtube8m_distill.data.held_records import HeldRecords
from youtube8m_distill.data.held_records import default_bytes
from youtube8m_distill.data.screening_report import write_report
from youtube8m_distill.runs.encodings import read_encodings
from youtube8m_distill.runs.evaluation import LoadedNetwork
from youtube8m_distill.runs.extraction import extract
from youtube8m_distill.runs.folder import Run
from youtube8m_distill.runs.folder import join_run
from youtube8m_distill.runs.folder import lock_run
from youtube8m_distill.runs.folder import open_run
from youtube8m_distill.runs.folder import prepare_run
from youtube8m_distill.runs.history import read_history
from youtube8m_distill.runs.initial_weights import has_eigenvalues
from youtube8m_distill.runs.lock import FolderInUse
from youtube8m_distill.runs.lock import locked
from youtube8m_distill.runs.predictions import predict_to_csv
from youtube8m_distill.runs.shards import find_shards
from youtube8m_distill.runs.shards import fingerprint
from youtube8m_distill.runs.shards import stored_dtype
from youtube8m_distill.runs.shards import usable_shards
from youtube8m_distill.runs.training import TrainingFiles
from youtube8m_distill.runs.training import find_training_files
from youtube8m_distill.runs.training import keep_screenings
from youtube8m_distill.runs.training import pin
from youtube8m_distill.runs.training import train_run
from youtube8m_distill.runs.video_ids import check_sets
