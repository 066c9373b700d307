"""One run per folder: its configuration, its training, and reading it."""

from youtube8m_distill.data.held_records import HeldRecords, default_bytes
from youtube8m_distill.data.ids import check_sets
from youtube8m_distill.runs.cascade import Cascade, is_cascade, open_cascade
from youtube8m_distill.runs.cascade import check_folder as check_cascade_folder
from youtube8m_distill.runs.evaluation import LoadedNetwork, read_encodings
from youtube8m_distill.runs.export import export_network
from youtube8m_distill.runs.extraction import extract
from youtube8m_distill.runs.initial_weights import has_eigenvalues
from youtube8m_distill.runs.loaded_cascade import LoadedCascade
from youtube8m_distill.runs.loaded_export import LoadedExport
from youtube8m_distill.runs.lock import FolderInUse, locked
from youtube8m_distill.runs.predictions import predict_to_csv
from youtube8m_distill.runs.presets import opened, package_run
from youtube8m_distill.runs.retrieval import Retrieval, SegmentRetriever
from youtube8m_distill.runs.retrieved import retrieve_to_csv
from youtube8m_distill.runs.run import COMMAND_FILE, Run, open_run, read_history
from youtube8m_distill.runs.shards import (
    RecordFiles,
    find_shards,
    find_training_files,
    fingerprint,
    fingerprint_of_names,
    pin,
    segment_classes,
)
from youtube8m_distill.runs.start import join_run, lock_run, prepare_run
from youtube8m_distill.runs.tagger import Tagger
from youtube8m_distill.runs.training import train_run
