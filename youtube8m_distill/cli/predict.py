"""Prints the best classes of the videos in some files."""

import os
import pathlib

from youtube8m_distill import runs, schema
from youtube8m_distill.cli import entry
from youtube8m_distill.cli.cascade_dir import load_cascade
from youtube8m_distill.cli.flags import FLAGS
from youtube8m_distill.cli.starter_flags import check_repeated
from youtube8m_distill.cli.values import reading_of, vocabulary
from youtube8m_distill.data.notes import NoteCounter
from youtube8m_distill.engine.cluster import refuse_cluster
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.errors import SettingError


def main(*paths):
    with entry.user_errors():
        refuse_cluster(os.environ)
        if not paths:
            raise SettingError(
                "FILE", f"is missing; name files, as in `{entry.program('predict')} --train_dir=RUN video.pb`."
            )
        names = vocabulary()
        tagger = load(make_strategy(FLAGS.num_gpu), top_k=FLAGS.top_k, for_metrics=False)
        config = tagger.configs[0]
        notes = NoteCounter(config.max_video_frames)
        for path in paths:
            shards = runs.find_shards("FILE", path, config.features, tagger.configs, (), tagger.reading)
            for batch in tagger.predict(shards, FLAGS.batch_size):
                for place, video_id in enumerate(batch[schema.VIDEO_ID]):
                    print(_tags(pathlib.Path(path).name, video_id, batch["classes"][place], batch["scores"][place], names))
                notes.add(batch[schema.NOTED])
    for line in notes.in_words():
        print(line)


def load(strategy, **options):
    """The network or the cascade in --train_dir."""
    if runs.is_cascade(FLAGS.train_dir):
        return load_cascade(strategy, **options)
    run = runs.open_run(FLAGS.train_dir)
    check_repeated(run.config, run.role(FLAGS.network), run.folder)
    reading = reading_of(run.config, segment_labels=False, segment_label_ids_file="")
    checkpoint = FLAGS.checkpoint or "best"
    return runs.LoadedNetwork(run, strategy, FLAGS.network, checkpoint, FLAGS.mixed_precision, reading, **options)


def _tags(file, video_id, classes, scores, names):
    """The best classes of a video, one per line."""
    lines = [f"{file}: {video_id.decode(errors='replace')}"]
    for number, score in zip(classes, scores):
        name = f"class {number}" if names is None else names.get(int(number), f"class {number}")
        lines.append(f"  {score:.3f}  {name}")
    return "\n".join(lines)
