"""Writes frame-level files that hold only the frames a student sees: same names, same format, a fraction of the bytes.

    python -m youtube8m_distill.cli.compact --input_data_pattern='yt8m/train*.tfrecord' --output_dir=yt8m_10 \\
        --frame_selection=uniform --frames_per_video=10

Train, evaluate and predict on them with the same two flags; networks that see other frames refuse these files. A run that
was cut short goes on where it ended.
"""

import contextlib

from absl import flags

from youtube8m_distill import display, files, runs
from youtube8m_distill.cli import entry
from youtube8m_distill.cli import flags as our_flags
from youtube8m_distill.data import compact
from youtube8m_distill.data.contents import stored_features
from youtube8m_distill.data.tfrecord import estimate_records
from youtube8m_distill.errors import SettingError

FLAGS = flags.FLAGS


def define_flags():
    our_flags.define_files(
        "Data",
        ("input_data_pattern", "Globs of frame-level files, comma-separated."),
        ("output_dir", "Folder to write: new, empty, or begun with these very flags."),
    )
    our_flags.define_exclusions()
    our_flags.define_frames("Frames to keep", "uniform")
    flags.DEFINE_integer(
        "seed",
        0,
        "Of --frame_selection=random, which is then the same in every epoch: the frames that "
        "a network trained with this seed sees at evaluation.",
        0,
    )
    our_flags.GROUPS["Frames to keep"].append("seed")


def main():
    with entry.user_errors():
        for name in ("input_data_pattern", "output_dir"):
            if not FLAGS[name].value:
                raise SettingError(name, "is missing; see --helpshort.")
        files.check_output("output_dir", FLAGS.output_dir, folder=True)
        frames = our_flags.frame_view("uniform")
        shards = runs.find_shards("input_data_pattern", FLAGS.input_data_pattern, exclusions=our_flags.exclusions())
        if all(stored.num_frames is None for stored in stored_features(shards[0]).values()):
            raise SettingError(
                "input_data_pattern",
                f"{shards[0].path} is a video-level file, whose videos have no frames to choose from.",
                FLAGS.input_data_pattern,
            )
    with contextlib.ExitStack() as held:
        with entry.user_errors():
            check_held = held.enter_context(runs.locked(FLAGS.output_dir, flag="output_dir"))
            jobs = compact.prepare_folder(shards, frames, FLAGS.output_dir, FLAGS.seed)
        try:
            count = write(jobs, frames, check_held) if jobs else 0
        except (ValueError, OSError) as error:  # a bad record, a full disk
            entry.fail(
                f"{our_flags.flag_of(error).rstrip('.')}. The files in --output_dir={FLAGS.output_dir} are "
                "complete; run the command again to go on."
            )
    print(summary(shards, jobs, count))


def write(jobs, frames, check_held):
    """Writes the files that are not there yet, while the folder is ours; returns how many videos they hold."""
    total, _ = estimate_records([shard for shard, _ in jobs])
    count = 0
    with display.ProgressBar(total, "compact", "videos") as bar:
        for shard, path in jobs:
            check_held()
            count += compact.compact_file(shard, frames, path, FLAGS.seed, bar.update)
    return count


def summary(shards, jobs, count):
    """What was written, what was there already, and how much smaller it is."""
    there = len(shards) - len(jobs)
    already = f"; {there} file(s) were there already" if there else ""
    if not jobs:
        return f"{FLAGS.output_dir}: every one of the {there} file(s) is already there; no video was written."
    before, after = sum(shard.size for shard, _ in jobs), sum(path.stat().st_size for _, path in jobs)
    return (
        f"{FLAGS.output_dir}: {count} videos in {len(jobs)} file(s), {after / 2**20:,.1f} MiB instead of "
        f"{before / 2**20:,.1f} ({after / before:.1%}){already}."
    )


def run():
    define_flags()
    entry.run(main, __doc__)


if __name__ == "__main__":
    run()
