"""Arrays in .npy files that are written and read in parts, so that memory holds no second copy of a large array."""

import io
import os
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np


def write_array(path: str | os.PathLike, parts: Iterable[np.ndarray]) -> dict[str, Any]:
    """Writes the concatenation of one-dimensional arrays as a .npy file; returns what `read_array` needs, as JSON values."""
    parts = list(parts)
    about = {"dtype": parts[0].dtype.str, "length": sum(map(len, parts))}
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": about["dtype"], "fortran_order": False, "shape": (about["length"],)}
    )
    checksum = 0
    with open(path, "wb") as file:
        for part in (header.getbuffer(), *(part.data for part in parts if len(part))):
            file.write(part)
            checksum = zlib.crc32(part, checksum)
    return {**about, "header_bytes": header.tell(), "crc32": checksum}


def read_array(path: str | os.PathLike, about: dict[str, Any], parts: Iterable[np.ndarray]) -> None:
    """Fills arrays, one after the other, from a file of `write_array`, which returned `about`.

    Raises:
        ValueError: naming the file, if it is missing, damaged, or another one.
    """
    try:
        with open(path, "rb") as file:
            checksum = zlib.crc32(file.read(about["header_bytes"]))
            for part in parts:
                if len(part):
                    complete = file.readinto(part.data) == part.nbytes
                    checksum = zlib.crc32(part.data, checksum) if complete else -1
            complete = checksum == about["crc32"] and not file.read(1)
    except FileNotFoundError as error:
        raise ValueError(f"{path} is missing.") from error
    if not complete:
        raise ValueError(f"{path} is damaged or belongs to other files: its checksum or size differs.")
