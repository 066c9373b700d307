"""Writes frame-level files that hold only the frames a student sees."""

import contextlib

from youtube8m_distill import display, runs
from youtube8m_distill.cli import entry
from youtube8m_distill.cli.flags import FLAGS
from youtube8m_distill.cli.values import exclusions, frame_view
from youtube8m_distill.data import compact
from youtube8m_distill.data.contents import stored_features
from youtube8m_distill.data.tfrecord import estimate_records
from youtube8m_distill.errors import BadRecordError


def main():
    with contextlib.ExitStack() as held:
        with entry.user_errors():
            frames = frame_view("uniform")
            shards = runs.find_shards("input_data_pattern", FLAGS.input_data_pattern, exclusions=exclusions())
            with entry.about("input_data_pattern"):
                if all(stored.num_frames is None for stored in stored_features(shards[0]).values()):
                    raise ValueError(f"{shards[0].path} is a video-level file, whose videos have no frames to choose from.")
            check_held = held.enter_context(runs.locked(FLAGS.output_dir, flag="output_dir"))
            jobs = compact.prepare_folder(shards, frames, FLAGS.output_dir, FLAGS.seed)
        try:
            count = write(jobs, frames, check_held)
        except (ValueError, OSError) as error:  # a bad record, a full disk
            advice = "Run the command again to resume."
            if isinstance(error, BadRecordError):
                advice = f"{entry.skip_bad_records()} Add that flag to this command to resume."
            entry.fail(
                f"{entry.message_of(error).rstrip('.')}. The files in --output_dir={FLAGS.output_dir} are complete. {advice}"
            )
    print(summary(shards, jobs, count))


def write(jobs, frames, check_held):
    """Writes the files that are missing, while this process holds the folder; returns how many videos they hold."""
    count = 0
    if jobs:
        total, _ = estimate_records([shard for shard, _ in jobs])
        with display.ProgressBar(total, "compact", "videos") as bar:
            for shard, path in jobs:
                check_held()
                count += compact.compact_file(shard, frames, path, FLAGS.seed, bar.update)
    return count


def summary(shards, jobs, count):
    """What was written, what existed, and how much smaller the files are."""
    existing = len(shards) - len(jobs)
    if not jobs:
        return f"{FLAGS.output_dir}: all {existing} file(s) exist; nothing was written."
    before, after = sum(shard.size for shard, _ in jobs), sum(path.stat().st_size for _, path in jobs)
    also = f"; {existing} file(s) existed" if existing else ""
    sizes = f"{after / 2**20:,.1f} MiB instead of {before / 2**20:,.1f} ({after / before:.1%})"
    return f"{FLAGS.output_dir}: {count} videos in {len(jobs)} file(s), {sizes}{also}."
