"""YouTube-8M in TensorFlow 2 / Keras 3: teachers that see every frame, students that see a few.

The public names are listed in `__init__.pyi`. Each is imported, and TensorFlow loaded, when it is first used.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
