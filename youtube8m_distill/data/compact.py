"""Frame-level files cut down to the frames that a network sees: same names, same format, a fraction of the bytes.

Frames past the view's max_video_frames are dropped first, as in reading. A network that sees k frames of a video gets the
same ones from files cut to k, because every selection but `strided` gives each frame once if there are at most k. Each
record also holds the frames' indices in the video (schema.KEPT_FRAMES_KEY).
"""

import json
import os
import pathlib
from collections.abc import Callable, Iterable

import numpy as np
import tensorflow as tf

from youtube8m_distill import config, files, schema
from youtube8m_distill.data import file_access, frame_selection, seeds
from youtube8m_distill.data.bad_records import NO_EXAMPLE, BadRecordError, naming_bad_records
from youtube8m_distill.data.compact_manifest import MANIFEST, require_fitting
from youtube8m_distill.data.find_files import real_path
from youtube8m_distill.data.tfrecord import BARE, RecordWriter, Shard, digest, read_serialized
from youtube8m_distill.manifest import Manifest
from youtube8m_distill.settings import require

# Increased when the same settings give other files. Before format 3, records did not hold the indices of their frames; in
# format 1, `uniform` was the name of `centered`.
FORMAT = 3
CHUNK = 64  # records cut together: 15 MB of official ones


def prepare_folder(
    shards: tuple[Shard, ...], view: config.FrameView, output_dir: str | os.PathLike, seed: int = 0
) -> list[tuple[Shard, pathlib.Path]]:
    """Checks that the files can be written and records in the folder's manifest what they are made from.

    Args:
        shards: frame-level files.
        view: the frames to keep; `random` ones are those of an evaluation with this `seed`.
        output_dir: new, empty, or holding part of the same files.
    Returns:
        list of (shard, path of its compact file), for the files that are missing.
    Raises:
        SettingError: if the folder holds one of the originals or something else, two files have the same name, or the
            view is `strided`, which a reader of the compact file would apply again.
    """
    reason = "a network that sees every n-th frame would see every n-th of the kept frames; keep uniform ones."
    require(view.frame_selection != "strided", "every_n", reason, view.every_n)
    output_dir = pathlib.Path(output_dir)
    sources = _sources(shards, output_dir)
    settings = {"format": FORMAT, **view.to_dict(), "seed": seed if view.frame_selection == "random" else None}
    manifest = Manifest(output_dir / MANIFEST, settings, flag="output_dir", section="compact", what="compact files")
    known = (manifest.check() or {}).get("sources", {})
    _check_sources(sources, known, output_dir)
    manifest.write(sources={**known, **sources})
    files.remove_leftovers(output_dir)
    pairs = [(shard, output_dir / os.path.basename(shard.path)) for shard in shards]
    return [(shard, path) for shard, path in pairs if not path.exists()]


def _sources(shards, output_dir):
    """{name: digest of the original}."""
    sources = {}
    for shard in shards:
        folder, name = os.path.split(shard.path)
        reason = f"is the folder of {shard.path}; name another, or the originals would be overwritten."
        require(real_path(folder) != os.path.realpath(output_dir), "output_dir", reason, output_dir)
        reason = f"several files are called {name}. Give each folder of files an output folder of its own."
        require(name not in (*sources, MANIFEST), "output_dir", reason, output_dir)
        sources[name] = digest(shard)
    return sources


def _check_sources(sources, known, output_dir):
    """Refuses a folder that holds files of these names made from other files."""
    wrong = []
    for name, content in sources.items():
        exists = (output_dir / name).exists()
        if exists and known.get(name, content) != content:
            wrong.append(f"{name} was made from another file of that name")
        if exists and name not in known:
            wrong.append(f"{name} exists and was not made from one of these files")
    reason = f"holds other compact files: {'; '.join(wrong)}. Name another folder, or remove this one."
    require(not wrong, "output_dir", reason, output_dir)


def check_networks(shards: tuple[Shard, ...], networks: Iterable[config.NetworkConfig], of_segments: bool = False) -> None:
    """Refuses compact files, with a ValueError, for a network that needs more of a video than they hold, or for segments."""
    for folder in _compact_folders(shards):
        if of_segments:
            raise ValueError(f"the compact files in {folder} hold no whole segments; give the original files.")
        settings = json.loads(file_access.read(os.path.join(folder, MANIFEST)))["compact"]
        for network in networks:
            require_fitting(folder, settings, network)


def check_whole_videos(shards: tuple[Shard, ...]) -> None:
    """Refuses compact files, with a ValueError, for training on other frames in each epoch."""
    for folder in _compact_folders(shards):
        reason = "hold the same frames in each epoch, so jitter_frames, which the recipe best sets, would have no effect."
        raise ValueError(f"the compact files in {folder} {reason} Give --nojitter_frames, or the original files.")


def _compact_folders(shards):
    """The folders of compact files among those of some files."""
    folders = sorted({os.path.dirname(shard.path) for shard in shards})
    return [folder for folder in folders if file_access.exists(os.path.join(folder, MANIFEST))]


def compact_file(
    shard: Shard,
    view: config.FrameView,
    path: str | os.PathLike,
    seed: int = 0,
    on_videos: Callable[[int], None] | None = None,
) -> int:
    """Writes the compact form of one file, complete or not at all, compressed like the original.

    Args:
        shard: the original; excluded records are skipped.
        view, seed: as for `prepare_folder`.
        path: of the new file.
        on_videos: called with the number of videos written since the last call.
    Returns:
        Number of videos in the new file.
    Raises:
        BadRecordError: with the file and the number of an invalid record.
        OSError: with path and reason, if the file cannot be written, for example because its folder was removed.
    """
    chunks = read_serialized(shard).batch(CHUNK).prefetch(2)
    done = 0
    with files.atomic_path(path, make_parent=False) as temporary, naming_bad_records([shard]):
        with RecordWriter(temporary, "" if shard.compression == BARE else shard.compression) as writer:
            for number, chunk in enumerate(chunks.as_numpy_iterator()):
                compact = _cut(chunk, shard, number * CHUNK, view, seed)
                for record in compact:
                    writer.write(record)
                done += len(compact)
                if on_videos is not None:
                    on_videos(len(compact))
    return done


def _cut(chunk, shard, first, view, seed):
    """Cuts serialized records [B] of a file, numbered from `first`, to the selected frames. list of bytes."""
    videos = [
        _parse(serialized, f"file {shard.path}, record {number}")
        for number, serialized in enumerate(chunk, first)
        if number not in shard.excluded
    ]
    if not videos:
        return []
    examples, video_ids, lengths = zip(*videos)
    drawn = seeds.frame_seeds(list(video_ids), seed, np.zeros(len(videos), np.int64))
    indices = frame_selection.select(view, np.asarray(lengths, np.int32), drawn).numpy()
    return [_with_frames(example, row[row >= 0].tolist()) for example, row in zip(examples, indices)]


def _parse(serialized, where):
    """(SequenceExample, its id, how many frames every feature list has). BadRecordError with `where` if it has none."""
    try:
        example = tf.train.SequenceExample.FromString(serialized)
    except Exception:  # protobuf's own DecodeError, whose import path differs between its versions
        raise BadRecordError(f"{where}: {NO_EXAMPLE}") from None
    context = example.context.feature
    ids = [
        value
        for key in (*schema.ID_KEYS, *schema.MEDIAPIPE_ID_KEYS)
        if key in context
        for value in context[key].bytes_list.value
    ]
    counts = {name: len(frames.feature) for name, frames in sorted(example.feature_lists.feature_list.items())}
    if not ids:
        raise BadRecordError(f"{where}: no video id; it should be under {' or '.join(schema.ID_KEYS)}")
    if not counts:
        raise BadRecordError(f"{where}: no frame-level feature")
    first, num_frames = next(iter(counts.items()))
    kept = len(context[schema.KEPT_FRAMES_KEY].int64_list.value) if schema.KEPT_FRAMES_KEY in context else 0
    if kept not in (0, num_frames):
        reason = f"{schema.KEPT_FRAMES_KEY!r} names {kept} frames and the record holds {num_frames}"
        raise BadRecordError(f"{where}: {reason}")
    for name, count in counts.items():
        if not count:
            raise BadRecordError(f"{where}: no frames under {name!r}")
        if count != num_frames:
            reason = f"{first!r} has {num_frames} frames and {name!r} {count}, and compact does not pad"
            raise BadRecordError(f"{where}: {reason}")
    return example, ids[0], num_frames


def _with_frames(example, indices):
    """The serialized SequenceExample with only the frames at these indices, and their indices in the video. bytes."""
    cut = tf.train.SequenceExample(context=example.context)
    kept = cut.context.feature[schema.KEPT_FRAMES_KEY].int64_list.value
    kept[:] = [kept[i] for i in indices] if kept else indices  # the example may be compact itself
    for name, frames in example.feature_lists.feature_list.items():
        cut.feature_lists.feature_list[name].feature.extend([frames.feature[i] for i in indices])
    return cut.SerializeToString(deterministic=True)
