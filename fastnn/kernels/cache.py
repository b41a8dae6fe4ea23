"""Where compiled units are kept between processes, and how they are shared safely.

A unit is one file, in a directory that is named by a hash of all that shapes machine code: the
kernels' code, because Numba notices a change in the compiled function only, not in what it calls;
the versions; the processor; Numba's settings.

The files are code, so they are distrusted. Each begins with a SHA-256 of what it is and what is in
it, which is checked before anything is unpickled; that is against damage. Against other users,
neither a directory nor a file counts that is a link, that belongs to somebody else but root, or
that everybody can write.

And nothing here is ever an error: where nothing can be read or written, code is compiled anew.

``FASTNN_CACHE=0`` turns the disk cache off; any other value names the directory to use.
"""

import contextlib
import hashlib
import importlib.util
import marshal
import os
import re
import secrets
import stat
import sys
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import llvmlite
import numba
import numpy as np
from numba import config

from fastnn import notices, streams
from fastnn._version import __version__
from fastnn.kernels import MODULES, numba_internals

# A file of the cache begins with this, and a SHA-256 follows.
MAGIC = b"fastnn unit\n"
# Seconds to wait for a unit that another process compiles, before this one does so, too.
PATIENCE = 60.0

# STATS counts what this process did; ``misses`` are units that it had to compile.
STATS = {"hits": 0, "misses": 0, "saved": 0}


def cache_dir():
    """The directory for compiled units, or None where there is none to be trusted."""
    base = _base()
    key = None if base is None else _key()
    if key is None:
        return None
    try:
        for directory in (base.path, base.path / key):
            objection = _objection(_status_or_make(directory, base.is_for_others))
            if objection:
                _warn_of(directory, objection)
                return None
    except OSError:
        return None
    return directory


@dataclass(frozen=True)
class _Base:
    """The directory for the kernels of every version, and whether others may read it."""

    path: Path
    is_for_others: bool


@cache
def _base():
    """Where kernels are kept, absolute from the start; None where that is nowhere."""
    setting = os.environ.get("FASTNN_CACHE", "")
    if setting == "0":
        return None
    try:
        path = Path(setting).expanduser() if setting else _default_path()
        return _Base(path.absolute(), is_for_others=bool(setting))
    except (OSError, RuntimeError):  # the working directory is gone; no home directory
        return None


def _default_path():
    # Imported here, since a process whose cache is named or turned off does not need it.
    from platformdirs import user_cache_path

    return user_cache_path("fastnn", appauthor=False, opinion=False)


def _key():
    """A hash of all that machine code depends on; None where the kernels' code cannot be read."""
    code = _code_hash()
    if code is None:
        return None
    settings = (
        config.OPT, config.LOOP_VECTORIZE, config.SLP_VECTORIZE, config.BOUNDSCHECK,
        config.DEBUGINFO_DEFAULT,
    )  # fmt: skip
    versions = (
        __version__, numba.__version__, llvmlite.__version__, np.__version__,
        sys.implementation.cache_tag, getattr(sys, "abiflags", ""),
    )  # fmt: skip
    text = repr((code, versions, settings, numba_internals.processor()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def _code_hash():
    """Hash of the code of all kernels, wherever Python has it from; None if that cannot be read.

    It is taken at import: later, another version may have been installed over this one, or this
    process may be that of a user who cannot read it.
    """
    digest = hashlib.sha256()
    try:
        for name in MODULES:
            code = _code_of(f"fastnn.kernels.{name}")
            digest.update(f"{name} {len(code)}\n".encode() + code)
    except Exception:
        # Loaders of packed programs are anybody's work, and raise anything.
        return None
    return digest.hexdigest()


def _code_of(name):
    """A module's source or, in programs that come without it, its bytecode."""
    loader = importlib.util.find_spec(name).loader
    source = loader.get_source(name)
    if source is not None:
        return source.encode()
    code = loader.get_code(name)
    if code is None:
        raise ImportError(f"no code of {name}")
    return marshal.dumps(code, 2)  # later formats depend on what else refers to the constants


_code_hash()


def _status_or_make(directory, is_for_others):
    """Status of a directory, which is made if it is missing."""
    try:
        return directory.lstat()
    except FileNotFoundError:
        _make(directory, is_for_others)
        return directory.lstat()


def _make(directory, is_for_others):
    """Make a directory for the user alone, or one that others may read if they may read its parent.

    The latter lets the image of a container bring kernels for whoever runs it.
    """
    parent = directory.parent
    if not parent.exists():
        _make(parent, is_for_others)
    mode, mode_of_parent = 0o700, parent.stat().st_mode
    if is_for_others and not mode_of_parent & stat.S_IWOTH:
        mode |= mode_of_parent & 0o055
    directory.mkdir(mode, exist_ok=True)


def _objection(status):
    """Why what has this status is not to be trusted with code, in words; else None."""
    if stat.S_ISLNK(status.st_mode):
        return "is a link: name the directory itself"
    if os.name == "nt":
        return None
    if status.st_uid not in (0, os.geteuid()):
        return "belongs to another user: name a directory of your own"
    if status.st_mode & stat.S_IWOTH:
        return "can be written by every user: take that right away, or name another directory"
    return None


@cache
def _warn_of(directory, objection):
    notices.advise(
        f"fastnn compiles its kernels for this process and keeps none, because {directory} "
        f"{objection} in the environment variable FASTNN_CACHE, or set that to 0 to turn the cache "
        "and this warning off."
    )


def _path(directory, name, suffix):
    # With a user's names in it, a unit's name may be too long for a file, or not ASCII.
    stem = name if re.fullmatch(r"\w{1,150}", name, re.ASCII) else _hash(name.encode()).hex()
    return directory / (stem + suffix)


def _hash(*parts):
    return hashlib.sha256(b"\0".join(parts)).digest()


def load(name, from_bytes=numba_internals.from_bytes):
    """Return what `save` kept under that name; None where it is not there, or damaged."""
    directory = cache_dir()
    if directory is None:
        return None
    try:
        content = _read(_path(directory, name, ".unit"))
        begin = len(MAGIC) + hashlib.sha256().digest_size
        payload = content[begin:]
        if content[:begin] != MAGIC + _hash(directory.name.encode(), name.encode(), payload):
            return None
        found = from_bytes(payload)
    except Exception:
        # There is no such file, or a user's function needs what this process does not have.
        return None
    STATS["hits"] += found is not None
    return found


def save(name, result, to_bytes=numba_internals.to_bytes):
    """Keep what compiling the unit of that name has made, if it can be kept.

    That is a result of Numba's, unless ``to_bytes`` is told.
    """
    STATS["misses"] += 1
    directory = cache_dir()
    if directory is None:
        return
    try:
        payload = to_bytes(result)
        digest = _hash(directory.name.encode(), name.encode(), payload)
        _write(_path(directory, name, ".unit"), MAGIC + digest + payload)
    except Exception:
        # Neither a full disk nor an object that cannot be pickled is to stop a fit.
        return
    STATS["saved"] += 1


def _open(path, flags):
    """`os.open`, which follows no links, for what nobody else may write."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o644)


def _read(path):
    """The content of a file that can be trusted."""
    with open(path, "rb", opener=_open) as file:
        if _objection(os.fstat(file.fileno())):
            raise PermissionError(path)
        return file.read()


def _write(path, content):
    """Put a file in its place, whole: another process sees all of it or nothing."""
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        with open(temporary, "xb", opener=_open) as file:
            file.write(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


# Lock files that this process holds.
_held = set()


@contextlib.contextmanager
def compilation_lock(name):
    """Hold the lock of one unit against other processes, so that they do not compile it, too.

    Nothing but work is lost where that cannot be had.
    """
    directory = cache_dir()
    try:
        if directory is None:
            raise FileNotFoundError
        file = open(_path(directory, name, ".lock"), "ab", opener=_open_lock)
    except OSError:
        yield
        return
    _held.add(file)
    try:
        _acquire(file)
        yield
    finally:
        _release(file)


def _open_lock(path, flags):
    # For the owner alone: whoever can open a file can lock it.
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o600)


def _acquire(file):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            _lock(file)
        except (BlockingIOError, PermissionError):  # somebody has it; the second on Windows
            time.sleep(0.02)
        except OSError:  # a network file system without locks
            return
        else:
            return


def _release(file):
    if file.closed:  # by a fork in whose child this runs
        return
    _held.discard(file)
    # Closing would not do: the lock is that of every process that has inherited the file.
    with contextlib.suppress(OSError):
        _unlock(file)
    file.close()


# filelock is no help here: its own hooks keep all threads from giving locks back while a process
# forks, and a fork waits for the thread that compiles; see `fastnn.forks`.
if os.name == "nt":
    import msvcrt

    def _lock(file):
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

    def _unlock(file):
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _lock(file):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(file):
        fcntl.flock(file, fcntl.LOCK_UN)


def _leave_locks_to_parent():
    for file in _held:
        file.close()
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_locks_to_parent)


@cache
def announce():
    """Say on stderr, once, that compilation begins: it makes the first fit a slow one.

    Once on a machine for this version of the kernels; where nothing can be kept, once in a process.
    """
    directory = cache_dir()
    if directory is None:
        place = "process, which has no disk cache"
    elif not os.access(directory, os.W_OK):
        place = "process, which cannot write to its disk cache"
    elif _claim_announcement(directory):
        place = "machine, once"
    else:
        return
    text = f"fastnn: compiling its kernels for this {place}; this takes a few seconds"
    if streams.is_terminal(sys.stderr):
        text = "\r" + text.ljust(78)  # over what `warmup` shows on this line
    streams.write_line(text, to="stderr", flush=True)


def _claim_announcement(directory):
    """Whether no process has announced it yet; with several at once, true in one of them."""
    try:
        (directory / "announced").touch(exist_ok=False)  # by O_EXCL
    except FileExistsError:
        return False
    except OSError:  # a full disk
        return True
    return True
