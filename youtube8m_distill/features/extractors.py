"""What turns frames and sound into vectors, by the name that a user gives."""

import importlib
import typing
from collections.abc import Callable

import numpy as np

from youtube8m_distill.config.features import INCEPTION, KERAS, NONE, VGGISH, FeaturesConfig
from youtube8m_distill.errors import SettingError
from youtube8m_distill.features import inception2015, keras_applications, vggish


class Extractor(typing.NamedTuple):
    """Turns a batch of frames, or of seconds of sound, into one vector each.

    `compute` gets frames uint8 [N, H, W, 3] or sound float32 [N, 16000] (16 kHz, mono, -1 .. 1), and returns [N, D]. The
    features of an official extractor are stored as bytes, -2 .. 2 in 256 steps, and all others as floats.
    """

    name: str
    compute: Callable[[np.ndarray], np.ndarray]
    is_official: bool = False


def load_extractors(config: FeaturesConfig) -> tuple[Extractor, Extractor | None]:
    """Loads the extractors of frames and, unless it is "none", of sound.

    Raises:
        SettingError: if there is no such extractor, or its files are missing or cannot be used.
    """
    name, sound, folder = config.extractor, config.sound, config.extractor_dir
    if name == INCEPTION:
        frames = Extractor(name, inception2015.load(folder), is_official=True)
    elif name.startswith(KERAS):
        has_weights = sound != VGGISH or keras_applications.weights_files(folder)
        frames = Extractor(name, keras_applications.load(name.removeprefix(KERAS), folder if has_weights else ""))
    else:
        frames = Extractor(name, _imported("extractor", name))
    if sound == NONE:
        return frames, None
    if sound == VGGISH:
        return frames, Extractor(sound, vggish.load(folder), is_official=True)
    return frames, Extractor(sound, _imported("audio_extractor", sound))


def _imported(flag, name) -> typing.Any:
    """The callable that `module:callable` names."""
    module, _, attribute = name.partition(":")
    try:
        found = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ModuleNotFoundError, AttributeError) as error:
        if isinstance(error, ModuleNotFoundError) and error.name not in (module, module.partition(".")[0]):
            raise  # the module exists, and one that it imports does not
        reason = f"cannot be imported ({error}). Name module:callable; modules are looked for in the current folder, too."
        raise SettingError(flag, reason, name) from error
    if not callable(found):
        raise SettingError(flag, f"is {type(found).__name__}, which cannot be called.", name)
    return found
