"""Trains each trial on videos or segments, and scores it on the rated segments of held-out videos."""

import numpy as np
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from reproduce import segment_settings
from reproduce.segment_settings import SEGMENTS
from reproduce.segment_trials import EXTRACTED, NETWORKS
from reproduce.worker import Worker, about_network
from youtube8m_distill import runs, schema
from youtube8m_distill.data.exclusions import read_exclusions
from youtube8m_distill.data.rated_segments import RatedSegments, read_rated_segments
from youtube8m_distill.engine.predictor import evaluate
from youtube8m_distill.metrics.evaluate import Evaluator
from youtube8m_distill.metrics.segment_map import SegmentMap, map_of_submission

MAX_POINTS = 500  # of a loss curve in a result


class SegmentWorker(Worker):
    """A Worker for SegmentTrials. Its settings are SegmentSettings."""

    def __init__(self, folder, settings, strategy, eval_shards, about, max_held_bytes=None):
        super().__init__(folder, settings, strategy, eval_shards, about, max_held_bytes)
        self.classes = runs.segment_classes(SEGMENTS, settings.num_classes)
        self.rated_shards = runs.find_shards(
            "eval_data_pattern",
            settings.eval_data_pattern,
            settings.features,
            exclusions=read_exclusions(settings.exclude_records) if settings.exclude_records else (),
            reading=SEGMENTS,
            num_classes=settings.num_classes,
        )

    def _config(self, trial):
        return segment_settings.run_config(trial, self.settings, self.folder)

    def _command(self, trial):
        return segment_settings.command(trial, self.settings, self.folder)

    def _losses(self, run):
        return read_losses(run.folder / "tensorboard" / run.config.main_role)

    def _evaluate(self, trial, run, role):
        if role == EXTRACTED:
            run = self._extracted(trial, run)
        return self._score_segments(run) if trial.on_segments else self._score_dummy(run)

    def _extracted(self, trial, run):
        """The run of a single network that is taken out of a mixture."""
        folder = run.folder.with_name(f"{run.folder.name}-{EXTRACTED}")
        if folder.exists():  # complete, from a command that was stopped before it wrote the result
            return runs.open_run(folder)
        return runs.extract(run, NETWORKS[trial.network].extracted, folder)

    def _score_segments(self, run):
        """Scores a network on rated segments, each of which it sees alone."""
        loaded = runs.LoadedNetwork(run, self.strategy, reading=SEGMENTS, keep_predictions=True)
        with Evaluator(loaded.config.num_classes, segment_classes=self.classes) as evaluator:
            measures = loaded.evaluate(self.rated_shards, None, evaluator)
            return {**measures, **about_network(loaded)}, evaluator.per_class()

    def _score_dummy(self, run):
        """Scores a network on whole videos, and its predictions of videos as those of all their segments."""
        loaded, of_video = runs.LoadedNetwork(run, self.strategy, keep_predictions=True), {}

        def batches():
            for batch in loaded.predict(self.eval_shards, description="evaluate"):
                of_video.update(zip(batch[schema.VIDEO_ID], batch["predictions"]))
                yield batch

        with Evaluator(loaded.config.num_classes) as evaluator:
            measures = evaluate(batches(), evaluator)
            classes = evaluator.per_class()
        rated = read_rated_segments(self.eval_shards)
        found = dummy_map(of_video, rated, self.classes)
        scores = {"map_at_k": found.map_at_k, "num_rated": int(found.num_rated.sum())}
        return {**measures, **scores, **about_network(loaded)}, classes


def dummy_map(of_video: dict[bytes, np.ndarray], rated: RatedSegments, classes: tuple[int, ...]) -> SegmentMap:
    """MAP@K if every segment of a video has the predictions of the video.

    Equal values are ordered by video id and start, as `yt8m infer` orders them.

    Args:
        of_video: video id -> float [num_classes].
        rated: rated pairs of segments of these videos.
        classes: the class list.
    """

    def ranking(c, segments):
        return sorted(segments, key=lambda segment: (-of_video[segment[0]][c], segment))

    by_class = rated.by_class()
    rankings = ((c, ranking(c, segments)) for c, segments in by_class.items() if c in classes)
    return map_of_submission(rankings, by_class, classes)


def read_losses(folder) -> dict[str, list]:
    """The loss terms in a folder of TensorBoard files.

    Returns:
        dict from term to a list of at most MAX_POINTS pairs of step and value. Values in between are averaged.
    """
    events = EventAccumulator(str(folder), size_guidance={"tensors": 0}).Reload()
    found = {}
    for tag in events.Tags()["tensors"]:
        kind, _, term = tag.partition("/")
        if kind == "loss":
            # A resumed run writes steps after its checkpoint again; the last value counts.
            values = {event.step: float(tf.make_ndarray(event.tensor_proto)) for event in events.Tensors(tag)}
            found[term] = thinned(sorted(values.items()), MAX_POINTS)
    return found


def thinned(points: list[tuple[int, float]], most: int) -> list[tuple[int, float]]:
    """At most `most` points of a curve: the last step and the mean value of groups of consecutive points."""
    size = -(-len(points) // most)
    groups = [points[start : start + size] for start in range(0, len(points), size or 1)]
    return [(group[-1][0], sum(value for _, value in group) / len(group)) for group in groups]
