"""Output that no fit fails for: a stream may be missing, closed, or able to write only."""

import sys
from contextlib import suppress


def can_write(stream):
    """Whether a stream is there, open and has a method to write with."""
    return hasattr(stream, "write") and not getattr(stream, "closed", False)


def is_terminal(stream):
    """Whether a stream says that it is a terminal."""
    try:
        return bool(stream.isatty())
    except Exception:
        return False


def write_line(text, *, to="stdout", end="\n", flush=False):
    """Print a line to ``sys.stdout`` or ``sys.stderr`` as it is now; if it cannot be, do nothing.

    Whatever the stream raises is ignored, as it may be an object of the user's.
    """
    stream = getattr(sys, to, None)
    if stream is None:
        return
    with suppress(Exception):
        # In one piece, so that no other process writes in between.
        stream.write(f"{text}{end}")
        if flush:
            stream.flush()
