"""Locks that a fork waits for.

A forked child has only the thread that forked. Where another thread held a lock at that moment,
the lock stays locked in the child for ever, and what the thread was at, a module half imported or
a unit half compiled, is never finished. So a fork waits for the locks here, and in the child they
are free. It waits for `PATIENCE` at most: the thread that forks may itself hold something that
another thread needs to come to an end. After that the child gets new locks.
"""

import os
import threading
import time

# Seconds that a fork waits for. A unit takes less than two to compile.
PATIENCE = 10.0

# Held while the modules that need Numba are imported.
importing = threading.RLock()
# Held while units are loaded or compiled. Reentrant: a template's bindings may be functions that
# are bound while it is.
compiling = threading.RLock()

_locks = [importing, compiling]


class _Forking(threading.local):
    """The locks that this thread holds because it is forking."""

    held = ()


_forking = _Forking()


def wait_for(*locks):
    """Let forks wait for these reentrant locks, too."""
    _locks.extend(locks)


def _before():
    deadline = time.monotonic() + PATIENCE
    _forking.held = []
    for lock in _locks:
        if lock.acquire(timeout=max(0.0, deadline - time.monotonic())):
            _forking.held.append(lock)


def _after_in_parent():
    for lock in _forking.held:
        lock.release()
    _forking.held = ()


def _after_in_child():
    _after_in_parent()
    for lock in _locks:
        # The thread that forked may be inside a block that holds the lock, and leave it here.
        if not lock._is_owned():
            lock._at_fork_reinit()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child
    )
