"""Where compiled units are kept between processes, and how they are shared safely.

Numba's own cache files are used, with three differences. The directory carries a hash
of every file of this folder, because Numba notices a change in the compiled function
only, not in what it calls. Compilation and saving happen under a file lock, because two
processes that save one index at once can spoil it for good. And nothing here is ever an
error: where no directory can be written, or a file is damaged, code is compiled anew.

``FASTNN_CACHE=0`` turns the disk cache off; any other value names the directory to use.
"""

import contextlib
import hashlib
import os
import sys
import tempfile
from functools import cache
from pathlib import Path

import llvmlite
import numba
from numba.core import caching, config

KERNELS = Path(__file__).parent


def _user_cache_dir():
    if os.name == "nt":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def source_hash():
    """Hash of this folder's sources and of all else that shapes the machine code."""
    digest = hashlib.sha256()
    for path in sorted(KERNELS.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    settings = (numba.__version__, llvmlite.__version__, config.OPT, config.LOOP_VECTORIZE,
                config.SLP_VECTORIZE, config.BOUNDSCHECK, config.DEBUGINFO_DEFAULT)  # fmt: skip
    digest.update(repr(settings).encode())
    return digest.hexdigest()[:16]


@cache
def cache_dir():
    """The directory for compiled units, or None where there is none to write to."""
    setting = os.environ.get("FASTNN_CACHE", "")
    if setting == "0":
        return None
    try:
        base = Path(setting).expanduser() if setting else _user_cache_dir() / "fastnn"
        directory = base / source_hash()
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except (OSError, RuntimeError):  # RuntimeError: no home directory
        return None
    return directory


@contextlib.contextmanager
def compilation_lock(name):
    """Hold the lock of one unit against other processes; without a cache, do nothing."""
    directory = cache_dir()
    if directory is None:
        yield
        return
    try:
        file = open(directory / f"{name}.lock", "wb")
    except OSError:
        yield
        return
    with file:
        _lock(file)
        yield  # closing the file releases the lock


def _lock(file):
    # Some network file systems know no locks: a race is then harmless but for the work.
    with contextlib.suppress(OSError):
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)


class _Locator:
    """Numba's cache locator interface: our directory, our stamp."""

    def __init__(self, directory):
        self.directory = str(directory)

    def get_cache_path(self):
        return self.directory

    def ensure_cache_path(self):
        os.makedirs(self.directory, exist_ok=True)

    def get_source_stamp(self):
        return os.path.basename(self.directory)  # the hash of the sources

    def get_disambiguator(self):
        return "0"  # units have names of their own


class _CacheImpl(caching.CompileResultCacheImpl):
    def __init__(self, py_func):
        self._lineno = py_func.__code__.co_firstlineno
        self._locator = _Locator(cache_dir())
        version = f"py{sys.version_info[0]}{sys.version_info[1]}"
        self._filename_base = f"{py_func.__qualname__}.{version}"


class UnitCache(caching.FunctionCache):
    """Numba's function cache in our directory; counts hits, misses and saves."""

    _impl_class = _CacheImpl

    def load_overload(self, sig, target_context):
        try:
            found = super().load_overload(sig, target_context)
        except Exception:  # a damaged file: whatever unpickling raises
            with contextlib.suppress(OSError):
                self.flush()
            found = None
        STATS["hits" if found is not None else "misses"] += 1
        return found

    def save_overload(self, sig, data):
        with contextlib.suppress(OSError):  # a full disk must not stop a fit
            super().save_overload(sig, data)
            STATS["saved"] += 1


# What this process did: ``misses`` counts what it had to compile.
STATS = {"hits": 0, "misses": 0, "saved": 0}


@cache
def announce():
    """Say on stderr, once, that compilation begins: it makes the first fit a slow one.

    Once on a machine for this version of the kernels; without a directory, once in a process.
    """
    if not _claim_announcement() or sys.stderr is None:
        return
    place = "machine, once" if cache_dir() else "process, which has no disk cache"
    text = f"fastnn: compiling its kernels for this {place}; this takes a few seconds"
    with contextlib.suppress(OSError, ValueError):  # a closed stderr must not stop a fit
        if sys.stderr.isatty():
            text = "\r" + text.ljust(78)  # over what `warmup` shows on this line
        print(text, file=sys.stderr, flush=True)


def _claim_announcement():
    """Whether no process has announced it yet; with several at once, true in one of them."""
    directory = cache_dir()
    if directory is None:
        return True
    try:
        (directory / "announced").touch(exist_ok=False)  # by O_EXCL
    except FileExistsError:
        return False
    except OSError:  # not writable after all
        return True
    return True


def attach(compiled, function):
    """Give a CFunc or a Dispatcher of ``function`` our cache, if there is a place for one."""
    if cache_dir() is not None:
        compiled._cache = UnitCache(function)
    else:
        STATS["misses"] += 1
