"""Prints the best classes of the videos in some files. A LiteRT file is run without TensorFlow."""

import contextlib
import pathlib

from youtube8m_distill import schema
from youtube8m_distill.cli import entry, loading
from youtube8m_distill.cli.flags import FLAGS
from youtube8m_distill.cli.values import vocabulary, warn_of_unnamed
from youtube8m_distill.data.notes import NoteCounter
from youtube8m_distill.errors import SettingError
from youtube8m_distill.export import about


def main(*paths):
    with contextlib.ExitStack() as stack, entry.user_errors():
        if not paths:
            raise SettingError(
                "FILE", f"is missing; name files, as in `{entry.program('predict')} --train_dir=RUN video.pb`."
            )
        given = vocabulary()
        tagger, folder = load(stack)
        names = vocabulary(folder) if given is None else given
        warn_of_unnamed(given, tagger.configs[0].num_classes)
        notes = NoteCounter(tagger.configs[0].max_video_frames)
        for path in paths:
            for batch in tagger.predict(path):
                columns = (batch[name] for name in (schema.PATH, schema.VIDEO_ID, "classes", "scores"))
                for found, video_id, classes, scores in zip(*columns):
                    print(_tags(pathlib.PurePath(found).name, video_id, classes, scores, names))
                notes.add(batch[schema.NOTED])
    for line in notes.in_words():
        print(line)


def load(stack):
    """What predicts, from --train_dir, and the folder that it is in, which may last only until `stack` closes.

    It has `configs`, of its networks in the order in which they read, and `predict`, which yields batches of the videos in
    the files that a glob matches, as `Tagger.predict` does, each with the `path` of every video's file.
    """
    folder = about.exported_folder(FLAGS.train_dir)
    exported = None if folder is None else about.read_export(folder)
    if exported is not None and exported.format == "litert":
        from youtube8m_distill.cli import predict_litert

        return predict_litert.load(folder, exported), folder
    if exported is not None and exported.format != "saved_model":
        reason = f"holds a network for {exported.format}; of exported networks, this command runs litert and saved_model."
        raise SettingError("train_dir", reason, FLAGS.train_dir)
    loading.load_tensorflow()
    from youtube8m_distill.cli import predict_tensorflow

    if exported is not None:
        return predict_tensorflow.load_saved_model(folder, exported), folder
    return predict_tensorflow.load(stack)


def _tags(file, video_id, classes, scores, names):
    """The best classes of a video, one per line."""
    lines = [f"{file}: {entry.printable(video_id.decode(errors='replace'))}"]
    for number, score in zip(classes, scores):
        name = f"class {number}" if names is None else names.get(int(number), f"class {number}")
        lines.append(f"  {score:.3f}  {entry.printable(name)}")
    return "\n".join(lines)
