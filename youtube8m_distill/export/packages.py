"""The optional packages of export formats."""

import importlib.util

from youtube8m_distill.config.export import PACKAGES, ExportConfig
from youtube8m_distill.errors import SettingError


def require_packages(config: ExportConfig) -> None:
    """Raises SettingError if a package is missing that writes or checks a format."""
    missing = [name for name in PACKAGES[config.format] if importlib.util.find_spec(name) is None]
    if missing:
        pip = f"pip install {' '.join(missing)}"
        reason = f"needs packages that are not installed: {pip} (the extra `export` holds those of all formats)."
        raise SettingError("format", reason, config.format)
