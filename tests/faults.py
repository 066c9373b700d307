"""Faults of the places that commands write to: a full disk, one that is read-only, a forbidden folder, a removed one."""

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
    """Whether this process may mount a file system, as root of a container with that right may."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", folder], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            return False
        subprocess.run(["umount", folder], check=True)
        return True


class Disk:
    """A file system of its own in memory, to be filled and closed for writing; `folder` is where it lies."""

    def __init__(self, folder, size=8 * 2**20):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(exist_ok=True)
        if not can_mount():
            pytest.skip("no file system can be mounted here: it takes root's rights")
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", self.folder], check=True)

    def fill(self, leave=0):
        """Takes all the room there is but for `leave` bytes."""
        room = shutil.disk_usage(self.folder).free - leave
        (self.folder / ".filler").write_bytes(bytes(max(0, room)))

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
        """Full from the moment on at which something whose name begins so is begun."""
        with _when_begun(name, self.fill):
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
    """No file of this process can grow past `size` bytes from the moment on at which something so named is begun.

    It is a full disk for those without root's rights.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with _when_begun(name, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))):
            yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextlib.contextmanager
def _when_begun(name, happen):
    """Something happens when `files.atomic_path` begins a file or folder whose name begins so."""
    holder, calls = files._holder, []

    def begin(path):
        if path.name.startswith(name):
            calls.append(path)
            happen()
        return holder(path)

    with mock.patch.object(files, "_holder", begin):
        yield
    assert calls, "nothing of that name was written"


@contextlib.contextmanager
def forbidden(folder):
    """Nothing can be written in a folder: by its permissions or, for root, who has them all, as another user."""
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
    """Removes a folder when something whose name begins so, in it, is about to take its final name."""
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
