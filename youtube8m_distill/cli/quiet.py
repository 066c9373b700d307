"""Imports TensorFlow without the dozen lines about CPU instructions and missing GPU drivers.

It writes them while it is imported, from C++, where no setting reaches them; so the commands, whose own output matters,
look away for that moment. Were the import to fail, everything would be shown.
"""

import os
import sys
import tempfile


def import_tensorflow():
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # and none later; errors reach us as exceptions
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as hidden:
        os.dup2(hidden.fileno(), 2)
        try:
            import tensorflow  # noqa: F401
        except BaseException:
            hidden.seek(0)
            os.write(stderr, hidden.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


if "tensorflow" not in sys.modules:
    import_tensorflow()
