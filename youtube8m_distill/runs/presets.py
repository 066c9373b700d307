"""Networks to share: written with a model card and the names of their classes, and loaded from wherever they are."""

import contextlib
import math
import os
import pathlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence

from youtube8m_distill import config as configs
from youtube8m_distill import files, schema
from youtube8m_distill.engine.progress import Progress
from youtube8m_distill.export import vocabulary
from youtube8m_distill.families.build import count_weights
from youtube8m_distill.families.mixture.network import Network
from youtube8m_distill.families.saving import load_keras_file
from youtube8m_distill.runs import archive, downloads
from youtube8m_distill.runs.model_card import About, find_evaluations, write_card
from youtube8m_distill.runs.run import Run, open_run, write_run
from youtube8m_distill.settings import require


def package_run(
    run: Run,
    path: str | os.PathLike[str],
    checkpoint: str | int = "best",
    names: Mapping[int, str] | None = None,
    license: str = "",
    data: str = "",
    metrics_files: Sequence[str | os.PathLike[str]] = (),
    as_archive: bool = False,
) -> Progress:
    """Writes a trained network as a folder or an archive to share, and returns the Progress of its checkpoint.

    It holds the run's configuration, the weights, the names of the classes, and a model card. The folder is a run's, so
    every command takes it; `load_model` loads either. A README.md in the run's folder, as in one that was packaged before,
    is taken as the card.

    Args:
        run: from `open_run`. All networks that it trained are written; the card is about the main one.
        path: a folder, new or empty; or a file.
        checkpoint: "best", "last" or a step.
        names: of classes, by index; None for those in the run's folder, if there are any.
        license: an identifier, such as apache-2.0.
        data: name of the training data, for the card.
        metrics_files: `metrics.json` files of `yt8m eval` about this checkpoint; by default the one in the run's folder.
    Raises:
        SettingError: if a setting is wrong, the folder is in use, or a file is about another checkpoint.
        FileNotFoundError, ValueError: if there is no such checkpoint.
        OSError: if it cannot be written.
    """
    if as_archive:
        files.check_output("output_model_tgz", path)
    else:
        files.check_new_folder("output_dir", path)
    names = _names_in(run.folder) if names is None else names
    own_card = _read_card(run.folder / archive.README, license=license, data_name=data, metrics_files=metrics_files)
    about, name = About(license, data), pathlib.Path(path).resolve().name

    def find_texts(progress):
        if own_card is not None:
            return _texts(own_card, names)
        evaluations = find_evaluations(run, progress, metrics_files)
        return _texts(write_card(name, run, progress, evaluations, names, about), names)

    write = archive.pack if as_archive else archive.write_folder
    return write(run, checkpoint, path, find_texts)


def save_to_preset(
    network: Network,
    folder: str | os.PathLike[str],
    config: configs.NetworkConfig,
    names: Mapping[int, str] | None = None,
    license: str = "",
    data: str = "",
) -> Run:
    """Writes a network that was trained in Python as a folder to share; the other arguments are as for `package_run`.

    The folder is a run's, at step 0, so every command takes it. The settings of training in it are defaults.

    Args:
        config: from which `build_model` built the network.
    Raises:
        SettingError: if a setting is wrong, the folder is in use, or the configuration is of another network.
        OSError: if the folder cannot be written.
    """
    files.check_new_folder("output_dir", folder)
    found, expected = sum(math.prod(weight.shape) for weight in network.weights), count_weights(config)
    reason = f"describes a network of {expected:,} weights; this one has {found:,}."
    require(found == expected, "config", reason, config.model)
    training = configs.TrainingConfig(**config.family.training)
    run_config = configs.RunConfig(mode="teacher", networks={schema.TEACHER: config}, training=training)
    run, progress = Run(pathlib.Path(folder), run_config), Progress()
    card = write_card(pathlib.Path(folder).resolve().name, run, progress, (), names, About(license, data))
    return write_run(folder, run_config, network, progress, _texts(card, names))


def load_model(
    path: str | os.PathLike[str], network: str | None = None, checkpoint: str | int = "best", dtype: str = "float32"
) -> Network:
    """Loads a trained network. No code from the file or folder is run.

    Args:
        path: a folder that `yt8m package`, `save_to_preset` or `yt8m train` wrote; an archive (`.tgz`) of one; the http(s)
            address of an archive, which is downloaded once, with its digest checked if it ends with `#sha256=...`; or a
            `.keras` file, for which the other arguments have no effect.
        network: "teacher" or "student"; None for the main one.
        checkpoint: "best", "last" or a step; an archive has one.
        dtype: "float32" or "mixed_bfloat16".
    Raises:
        FileNotFoundError, ValueError: if there is no such network, or it cannot be read.
        OSError: if it cannot be downloaded.
    """
    if os.fspath(path).endswith(".keras"):
        return load_keras_file(path)
    with opened(path) as run:
        return run.load_network(network, checkpoint, dtype)[0]


@contextlib.contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[Run]:
    """The run in a folder, in an archive, or in the archive at a URL. What is unpacked is removed at the end.

    Raises:
        FileNotFoundError, ValueError: if there is no run, or it cannot be read; OSError if it cannot be downloaded. A
            download that is not an archive of a run is not kept.
    """
    if not downloads.is_url(path) and not os.path.isfile(path):
        yield open_run(path)
        return
    with tempfile.TemporaryDirectory() as folder:
        unpack = _unpack_download if downloads.is_url(path) else archive.unpack
        yield unpack(os.fspath(path), os.path.join(folder, "model"))


def _unpack_download(url, folder):
    source = downloads.download(url)
    try:
        return archive.unpack(source, folder)
    except ValueError as error:  # perhaps a page with an error or a login, which must not stay in the cache
        source.unlink(missing_ok=True)
        raise ValueError(f"{url} does not hold a network: {error} The download was removed.") from error


def _read_card(path, **settings):
    """The text of a card that is there already; None without one. SettingError for `settings` of a new one, if given."""
    if not path.is_file():
        return None
    for name, value in settings.items():
        reason = f"has no effect: {path} is taken as the model card. Leave it out, or remove that file."
        require(not value, name, reason, value)
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text in UTF-8: {error}.") from error


def _names_in(folder):
    path = folder / vocabulary.FILE
    return vocabulary.read_vocabulary(path) if path.is_file() else None


def _texts(card, names):
    """The files of the folder that `archive` does not write itself."""
    texts = {archive.README: card}
    return texts if names is None else {**texts, vocabulary.FILE: vocabulary.as_text(names)}
