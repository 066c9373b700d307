"""The optional packages of export formats."""

import importlib.util

from youtube8m_distill.config.export import PACKAGES, ExportConfig
from youtube8m_distill.errors import SettingError


def require_packages(config: ExportConfig) -> None:
    """Raises SettingError if a package is missing that writes or checks a format."""
    missing = [name for name in PACKAGES[config.format] if importlib.util.find_spec(name) is None]
    if missing:
        reason = f"needs {', '.join(missing)}, not installed here: pip install 'youtube8m_distill[export]'"
        raise SettingError("format", reason, config.format)
