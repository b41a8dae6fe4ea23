"""Compiling ahead of time, and what is said as it begins, on whatever stderr there is."""

import sys

import pytest

import fastnn
from cache_programs import FIT, UNITS, lines, start
from common import run_python
from fastnn import streams

ONCE = "fastnn: compiling its kernels for this machine, once; this takes a few seconds"
EACH = (
    "fastnn: compiling its kernels for this process, which has no disk cache; "
    "this takes a few seconds"
)


@pytest.mark.slow
def test_first_compilation_is_announced_once_on_a_machine(tmp_path):
    """As it begins; not where all is loaded, nor when a later process compiles something else."""
    cache = {"FASTNN_CACHE": str(tmp_path)}
    assert lines(start("one", "two", **cache)) == [ONCE, "compiles", "compiles"]
    assert lines(start("three", **cache)) == ["compiles"]
    (marker,) = tmp_path.glob("*/announced")
    marker.unlink()
    assert lines(start("one", "two", **cache)) == []  # loads, so has nothing to announce


@pytest.mark.slow
def test_without_a_cache_each_process_announces_it_once(tmp_path):
    assert lines(start("one", "two", FASTNN_CACHE="0")) == [EACH, "compiles", "compiles"]
    blocked = tmp_path / "a-file-not-a-directory"
    blocked.write_text("")
    assert lines(start("one", FASTNN_CACHE=str(blocked))) == [EACH, "compiles"]


@pytest.mark.slow
def test_of_processes_side_by_side_one_announces_it(tmp_path):
    processes = [start(f"unit{n}", FASTNN_CACHE=str(tmp_path)) for n in range(4)]
    said = [line for process in processes for line in lines(process)]
    assert sorted(said) == ["compiles"] * 4 + [ONCE]


class WritesOnly:
    def __init__(self):
        self.written = []

    def write(self, text):
        self.written.append(text)


class Refuses:
    def write(self, text):
        raise RuntimeError("this takes nothing")

    flush = isatty = write


class Terminal(WritesOnly):
    def isatty(self):
        return True

    def flush(self):
        raise OSError("this is gone")


def closed():
    stream = open(__file__)
    stream.close()
    return stream


STREAMS = [lambda: None, WritesOnly, Refuses, Terminal, closed, object]


@pytest.mark.parametrize("make", STREAMS)
def test_warmup_does_without_a_proper_stderr(monkeypatch, make):
    from fastnn.kernels import cache
    from fastnn.kernels.cpu import jit

    monkeypatch.setattr(sys, "stderr", make())
    monkeypatch.setattr(jit, "_units", {})  # so that it has something to show
    cache.announce.__wrapped__()
    assert fastnn.warmup() > 0


@pytest.mark.parametrize("make", STREAMS)
def test_lines_are_written_as_far_as_a_stream_can(monkeypatch, make):
    stream = make()
    monkeypatch.setattr(sys, "stderr", stream)
    streams.write_line("text", to="stderr", flush=True)
    assert streams.is_terminal(stream) == (make is Terminal)
    if isinstance(stream, WritesOnly):
        assert "".join(stream.written) == "text\n"


@pytest.mark.parametrize(
    "stderr",
    [
        "None",
        "open(os.devnull)",
        # Python itself fails at its end without a way to flush.
        "type('Silent', (), {'flush': lambda self: None})()",
    ],
)
@pytest.mark.slow
def test_announcement_without_stderr(tmp_path, stderr):
    """A process without an stderr, or with one that takes nothing, compiles all the same."""
    code = UNITS.replace("import sys", f"import os, sys; sys.stderr = {stderr}")
    code = code.replace('print("compiles", file=sys.stderr)', "open('compiled', 'w').close()")
    code = f"import os; os.chdir({str(tmp_path)!r})" + code
    assert lines(start("one", code=code, FASTNN_CACHE=str(tmp_path / "cache"))) == []
    assert (tmp_path / "compiled").exists()


@pytest.mark.slow
def test_warmup_announces_the_first_compilation(tmp_path):
    code = "import fastnn; fastnn.warmup()"
    first, *_, last = lines(start(code=code, FASTNN_CACHE=str(tmp_path)))
    assert first == ONCE
    assert "kernels compiled for float64" in last


@pytest.mark.slow
def test_warmup_leaves_nothing_to_compile(tmp_path):
    code = FIT.replace(
        "X, y =",
        "seconds = fastnn.warmup(verbose=False)\n"
        "assert seconds > 0\ncache.STATS['misses'] = 0\nX, y =",
    )
    assert run_python(code, FASTNN_CACHE=str(tmp_path))["stats"]["misses"] == 0


def test_warmup_says_what_it_did(capsys):
    seconds = fastnn.warmup(dtype="float64")
    assert isinstance(seconds, float)
    assert "kernels compiled for float64" in capsys.readouterr().err
    with pytest.raises(ValueError, match="dtype must be 'float32' or 'float64', got 'int8'"):
        fastnn.warmup(dtype="int8")


def test_warmup_shows_units_of_its_own_thread_alone():
    from fastnn.kernels.cpu import jit

    told = []
    with jit.observed(told.append):
        jit.unit(lambda step, task: None, "shown")
    jit.unit(lambda step, task: None, "not_shown")
    assert told == ["shown"]
