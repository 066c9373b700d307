"""Faults of output folders: a full disk, a read-only disk, a folder without permissions, a removed folder."""

import contextlib
import os
import pathlib
import resource
import shutil
import subprocess
import tempfile
from unittest import mock

import pytest

from youtube8m_distill import files

PAGE = 4096
NOBODY = 65534


def can_mount():
    """Whether this process may mount a file system."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", folder], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            return False
        subprocess.run(["umount", folder], check=True)
        return True


class Disk:
    """A file system in memory, mounted at `folder`, that can be filled or made read-only."""

    def __init__(self, folder, size=8 * 2**20):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(exist_ok=True)
        if not can_mount():
            pytest.skip("mounting a file system takes root rights")
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", self.folder], check=True)

    def fill(self, leave=0):
        """Fills the disk except for `leave` bytes. A second call fills what other files have freed since."""
        with (self.folder / ".filler").open("ab", buffering=0) as filler:
            with contextlib.suppress(OSError):  # other threads write, too: the disk may be full before all is written
                filler.write(bytes(max(0, shutil.disk_usage(self.folder).free - leave)))

    def free(self):
        (self.folder / ".filler").unlink(missing_ok=True)

    def close(self):
        subprocess.run(["umount", "--lazy", self.folder], check=True)

    @contextlib.contextmanager
    def full(self, leave=0):
        self.fill(leave)
        try:
            yield
        finally:
            self.free()

    @contextlib.contextmanager
    def getting_full(self, name):
        """Full from the moment when writing starts for an output whose name starts with `name`."""
        with _when_started(name, self.fill):
            yield
        self.free()

    @contextlib.contextmanager
    def read_only(self):
        subprocess.run(["mount", "-o", "remount,ro", self.folder], check=True)
        try:
            yield
        finally:
            subprocess.run(["mount", "-o", "remount,rw", self.folder], check=True)


@contextlib.contextmanager
def limited_file_size(name, size=1):
    """Files of this process cannot exceed `size` bytes once writing starts for an output whose name starts with `name`.

    Like a full disk, without root rights.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with _when_started(name, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))):
            yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextlib.contextmanager
def _when_started(name, happen):
    """Calls `happen` when `files.atomic_path` starts an output whose name starts with `name`."""
    holder, calls = files._holder, []

    def start(path):
        if path.name.startswith(name):
            calls.append(path)
            happen()
        return holder(path)

    with mock.patch.object(files, "_holder", start):
        yield
    assert calls, "nothing of that name was written"


@contextlib.contextmanager
def forbidden(folder):
    """Nothing can be written in a folder because of its permissions. Root becomes another user meanwhile."""
    mode = folder.stat().st_mode
    folder.chmod(0o555)
    if os.geteuid() == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
        folder.chmod(mode)


@contextlib.contextmanager
def removed(folder, name):
    """Removes a folder when an output in it whose name starts with `name` is about to take its final name."""
    put_in_place, calls = files._put_in_place, []

    def put(temporary, path, replaced):
        if path.name.startswith(name) and not calls:
            calls.append(path)
            while folder.exists():  # other threads may be writing there
                shutil.rmtree(folder, ignore_errors=True)
        put_in_place(temporary, path, replaced)

    with mock.patch.object(files, "_put_in_place", put):
        yield
    assert calls, "nothing of that name was written"
