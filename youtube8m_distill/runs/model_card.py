"""The model card of a trained network: README.md, with the YAML front matter that Hugging Face reads.

https://huggingface.co/docs/hub/model-cards describes the fields.
"""

import json
import math
import os
import pathlib
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import yaml

from youtube8m_distill.engine.progress import Progress
from youtube8m_distill.errors import SettingError
from youtube8m_distill.families.build import look_at
from youtube8m_distill.runs.run import COMMAND_FILE, Run
from youtube8m_distill.settings import require

LICENSES = "https://huggingface.co/docs/hub/repositories-licenses"
LICENSE = re.compile(r"[a-z0-9][a-z0-9.-]*")  # an identifier of Hugging Face's list
METRICS = {
    "hit_at_one": "Hit@1",
    "perr": "PERR",
    "mean_average_precision": "mAP",
    "full_mean_average_precision": "mAP, all predictions",
    "map_at_k": "MAP@K",
}
SELECTIONS = {
    "all": "all frames",
    "uniform": "the first frames of {k} equal spans of the video",
    "centered": "the middle frames of {k} equal spans of the video",
    "random": "{k} random frames",
    "first": "the first {k} frames",
    "middle": "the middle {k} frames",
    "last": "the last {k} frames",
    "first_middle_last": "{k} frames: a third each from the beginning, the middle, and the end",
    "strided": "one of every {stride} frames",
}


class Evaluation(NamedTuple):
    """Scores of a network on some files, as `yt8m eval` writes them."""

    path: str  # of the metrics.json
    data: str  # the pattern of the files
    size: str  # how much, in words
    metrics: dict[str, float]  # name as in METRICS or gap_at_K -> value


class About(NamedTuple):
    """What only the author of a card knows."""

    license: str = ""  # an identifier such as apache-2.0
    data: str = ""  # name of the training data


def find_evaluations(run: Run, progress: Progress, paths: Sequence[str | os.PathLike] = ()) -> list[Evaluation]:
    """The scores of a checkpoint of a run's main network, from metrics.json files of `yt8m eval`.

    Args:
        paths: of these files; without them, the one where `yt8m eval` writes by default, if it is of this checkpoint.
    Raises:
        SettingError: if a named file cannot be read, or is not about this checkpoint.
    """
    role = run.config.main_role
    if not paths:
        default = run.folder / "eval" / (f"{role}_segments" if run.config.reading.segment_labels else role) / "metrics.json"
        found = _read_metrics(default) if default.is_file() else {}
        return [_evaluation(default, found)] if _is_about(found, role, progress) else []
    evaluations = []
    for path in paths:
        found = _read_metrics(path)
        reason = f"is about the {found.get('network')} of step {found.get('checkpoint_step')}, not the {role} of step "
        require(_is_about(found, role, progress), "metrics_files", f"{reason}{progress.step}.", path)
        evaluations.append(_evaluation(path, found))
    return evaluations


def _is_about(found, role, progress):
    return (found.get("network"), found.get("checkpoint_step")) == (role, progress.step)


def _read_metrics(path):
    try:
        text = pathlib.Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise SettingError("metrics_files", f"cannot be read: {error.strerror}.", path) from error
    try:
        found = json.loads(text)
        require(isinstance(found, dict), "metrics_files", "holds no object.")
        return found
    except ValueError as error:
        raise SettingError("metrics_files", f"is not a metrics.json of `yt8m eval`: {error}.", path) from error


def _evaluation(path, found):
    named = {name: value for name, value in found.items() if name in METRICS or name.startswith("gap_at_")}
    metrics = {name: float(value) for name, value in named.items() if isinstance(value, (int, float))}
    count, examples = found.get("num_videos"), "segments" if "num_rated" in found else "videos"
    size = f"{count:,} {examples}" if isinstance(count, int) else examples
    return Evaluation(os.fspath(path), str(found.get("eval_data_pattern")), size, metrics)


def write_card(
    name: str, run: Run, progress: Progress, evaluations: Sequence[Evaluation], names: Mapping[int, str] | None, about: About
) -> str:
    """The text of the card of a run's main network.

    Args:
        name: of the folder or the archive.
        names: of classes, by index; None if they are not part of the model.
    Raises:
        SettingError: if the license is not an identifier.
    """
    config, title = run.config, re.sub(r"\.(tgz|tar\.gz)$", "", name)
    network = config.networks[config.main_role]
    reason = f"give an identifier, such as apache-2.0, cc-by-4.0, or other: {LICENSES}"
    require(not about.license or LICENSE.fullmatch(about.license), "license", reason, about.license)
    sections = {
        "Use": _use(name, config),
        "Data": _data(config, network, about, names),
        "Frames": _frames(network),
        "Metrics": _metrics(evaluations, progress),
        "Cost": _cost(network),
        "Training": _training(run, progress),
        "License": about.license or "The author has named no license.",
        "Limits": _limits(network, evaluations),
    }
    front = yaml.safe_dump(_front_matter(title, evaluations, about), sort_keys=False, allow_unicode=True)
    body = "\n".join(f"\n## {heading}\n\n{text}" for heading, text in sections.items())
    return f"---\n{front}---\n\n# {title}\n\n{_summary(config, network)}\n{body}\n"


def _front_matter(name, evaluations, about):
    results = [
        {
            "task": {"type": "video-classification"},
            "dataset": {"name": evaluation.data, "type": "tfrecord"},
            "metrics": [
                {"type": metric, "name": _title(metric), "value": value} for metric, value in evaluation.metrics.items()
            ],
        }
        for evaluation in evaluations
    ]
    return {
        **({"license": about.license} if about.license else {}),
        "library_name": "youtube8m_distill",
        "pipeline_tag": "video-classification",
        "tags": ["youtube-8m", "keras", "tensorflow"],
        **({"model-index": [{"name": name, "results": results}]} if results else {}),
    }


def _title(metric):
    return METRICS.get(metric, metric.replace("gap_at_", "GAP@"))


def _summary(config, network):
    kind = "A network" if config.mode == "teacher" else "A student, distilled from a teacher,"
    source = "the video's mean features" if network.view is None else "features of its frames"
    return f"{kind} that predicts which of {network.num_classes:,} classes a video shows, from {source} (`{network.model}`)."


def _use(name, config):
    others = [f"`--network={role}`" for role in config.trained_roles if role != config.main_role]
    more = f" It also holds the other network of its training ({', '.join(others)})." if others else ""
    return f"""With the package `youtube8m_distill`:

```sh
yt8m predict --train_dir={shlex.quote(name)} video.tfrecord
```

```python
import youtube8m_distill as yt8m

network = yt8m.load_model({json.dumps(name)})
```

Every command of `yt8m` that reads a training directory takes the folder.{more} Loading it runs no code from it."""


def _data(config, network, about, names):
    kinds = {"uint8": "bytes", "float32": "floats"}[network.features.dtype]
    features = ", ".join(f"`{name}` ({size:,})" for name, size in zip(network.features.names, network.features.sizes))
    lines = [
        about.data,
        _files("Training", config.train_data_pattern, config.train_files),
        _files("Validation", config.validation_data_pattern, config.validation_files),
        f"Records left out: `{config.exclude_records}`." if config.exclude_records else "",
        "Examples are rated segments of videos." if config.reading.segment_labels else "",
        f"Features, as {kinds}: {features}.",
        f"Classes: {network.num_classes:,}, {_naming(network.num_classes, names)}.",
    ]
    return _bullets(lines)


def _naming(num_classes, names):
    """How the classes are named, in words."""
    if names is None:
        return "by number only"
    num_named = len(names.keys() & set(range(num_classes)))
    return f"{'' if num_named == num_classes else f'{num_named:,} of them '}named in `vocabulary.csv`"


def _files(title, pattern, fingerprint):
    return f"{title} files: `{pattern}`{f' ({fingerprint})' if fingerprint else ''}." if pattern else ""


def _frames(network):
    view = network.view
    if view is None:
        return "The network reads the mean features of the whole video."
    seen = SELECTIONS[view.frame_selection].format(k=view.frames_per_video, stride=view.every_n)
    return (
        f"The network reads {seen} (`{view.frame_selection}`), {view.max_frames} at most, out of the first "
        f"{view.max_video_frames:,}. In the files of YouTube-8M there is one frame per second."
    )


def _metrics(evaluations, progress):
    rows = [
        f"| {_title(metric)} | {value:.4f} | {one.size} in `{one.data}` | `{one.path}` |"
        for one in evaluations
        for metric, value in one.metrics.items()
    ]
    if progress.best_value is not None and progress.best_step == progress.step:
        where = "the validation files, on which this step was chosen"
        rows.append(f"| GAP@20 | {progress.best_value:.4f} | {where} | `best/progress.json` |")
    if not rows:
        return "The network has not been scored."
    return "\n".join(["| metric | value | on | file |", "|---|---|---|---|", *rows])


def _cost(network):
    def look(model):
        return sum(math.prod(weight.shape) for weight in model.weights), model.multiply_adds(network.max_frames)

    parameters, multiply_adds = look_at(network, look)
    what = "mean features" if network.view is None else f"{network.max_frames} frames"
    return _bullets(
        [
            f"{parameters:,} parameters, {4 * parameters:,} bytes in float32.",
            f"{multiply_adds:,} multiply-adds for a video of {what}. Each is 2 FLOPs.",
        ]
    )


def _training(run, progress):
    config, command = run.config, run.folder / COMMAND_FILE
    if not progress.step:
        return "The network was trained in Python. Settings of training in `config.json` are defaults, not its own."
    lines = [
        f"Step {progress.step:,}, {progress.epoch} epoch(s), with batches of {config.training.batch_size} and "
        f"seed {config.training.seed}. `config.json` holds all settings."
    ]
    if config.distillation is not None:
        losses = ", ".join(config.distillation.student_loss)
        teacher = f" The teacher is the network in `{config.teacher_dir}`." if config.teacher_dir else ""
        lines.append(f"Mode {config.mode}, losses of the student: {losses}.{teacher}")
    shown_command = f"```sh\n{command.read_text(encoding='utf-8').strip()}\n```\n\n" if command.is_file() else ""
    return shown_command + _bullets(lines)


def _limits(network, evaluations):
    longest = 0 if network.view is None else network.view.max_video_frames
    return _bullets(
        [
            "The network reads features, which `yt8m features` extracts from videos. Those of another extractor than in its "
            "training give meaningless predictions.",
            f"Frames that it does not read, such as all after the first {longest:,}, have no effect." if longest else "",
            "Predictions rank classes and videos. They are not calibrated probabilities.",
            "" if evaluations else "No scores on separate files were given when this card was written.",
        ]
    )


def _bullets(lines):
    """The lines that are not empty, as a list."""
    return "\n".join(f"- {line}" for line in lines if line)
