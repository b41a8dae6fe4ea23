"""The cache on disk: what a second process finds, and what happens where there is none."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from common import child_environment, run_python

FIT = """
import json, warnings
warnings.simplefilter("ignore")
from sklearn.datasets import load_digits
import fastnn
from fastnn.kernels import cache, jit
X, y = load_digits(return_X_y=True)
model = fastnn.MLPClassifier(max_iter=2, random_state=0).fit(X, y)
model.predict(X)
print(json.dumps({"stats": cache.STATS, "seconds": sum(jit.SECONDS.values()),
                  "directory": str(cache.cache_dir()), "loss": model.loss_,
                  "units": sorted(jit.SECONDS)}))
"""


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A cache filled by one process, and what that process said."""
    directory = tmp_path_factory.mktemp("cache")
    return directory, run_python(FIT, FASTNN_CACHE=str(directory))


@pytest.fixture
def copy_of_filled(filled, tmp_path):
    """A copy of it to damage; its path, that of the entries in it, and what the first said."""
    source, first = filled
    shutil.copytree(source, tmp_path / "copy")
    return tmp_path / "copy", tmp_path / "copy" / Path(first["directory"]).name, first


def test_second_process_compiles_nothing(filled):
    directory, first = filled
    second = run_python(FIT, FASTNN_CACHE=str(directory))
    assert first["stats"]["misses"] == first["stats"]["saved"] == len(first["units"])
    assert first["stats"]["hits"] == 0
    assert second["stats"] == {"hits": len(second["units"]), "misses": 0, "saved": 0}
    assert second["units"] == first["units"]
    assert second["loss"] == first["loss"]
    assert Path(second["directory"]).parent == directory


def test_each_unit_has_files_of_its_own(filled):
    """One signature to a file: processes cannot confuse one another's entries."""
    _, found = filled
    names = os.listdir(found["directory"])
    data = [name for name in names if name.endswith(".nbc")]
    indices = [name for name in names if name.endswith(".nbi")]
    assert len(data) == len(indices) == len(found["units"])
    assert {name.split(".")[0] for name in data} == set(found["units"])


@pytest.mark.slow
def test_cache_can_be_turned_off(tmp_path):
    found = run_python(FIT, FASTNN_CACHE="0", XDG_CACHE_HOME=str(tmp_path))
    assert found["directory"] == "None"
    assert found["stats"]["saved"] == found["stats"]["hits"] == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_no_writable_place(tmp_path):
    """Without a place to write, everything works and is compiled in each process."""
    blocked = tmp_path / "a-file-not-a-directory"
    blocked.write_text("")
    found = run_python(FIT, FASTNN_CACHE=str(blocked / "cache"))
    assert found["directory"] == "None"
    assert found["stats"]["misses"] == len(found["units"])


@pytest.mark.slow
def test_default_directory(tmp_path):
    found = run_python(
        "import json; from fastnn.kernels import cache; print(json.dumps(str(cache.cache_dir())))",
        FASTNN_CACHE="", XDG_CACHE_HOME=str(tmp_path),
        HOME=str(tmp_path), LOCALAPPDATA=str(tmp_path),
    )  # fmt: skip
    assert found.startswith(str(tmp_path))


@pytest.mark.parametrize("content", [b"", b"not a pickle", None])
@pytest.mark.slow
def test_damaged_files_are_replaced(copy_of_filled, content):
    """An index or data file that is empty, nonsense or missing costs a compilation, no more."""
    cache_root, entries, first = copy_of_filled
    (data,) = entries.glob("begin_update*.nbc")
    (index,) = entries.glob("finish*.nbi")
    if content is None:
        data.unlink()
    else:
        data.write_bytes(content)
        index.write_bytes(content)
    broken = 1 if content is None else 2
    second = run_python(FIT, FASTNN_CACHE=str(cache_root))
    assert second["stats"]["misses"] == second["stats"]["saved"] == broken
    assert second["loss"] == first["loss"]
    assert run_python(FIT, FASTNN_CACHE=str(cache_root))["stats"]["misses"] == 0


@pytest.mark.slow
def test_cold_processes_side_by_side(tmp_path):
    """Processes that start cold at once share the work and leave a cache that serves a third."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", FIT],
            env=child_environment(FASTNN_CACHE=str(tmp_path)),
            stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        for _ in range(3)
    ]
    for process in processes:
        process.communicate(timeout=300)
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert run_python(FIT, FASTNN_CACHE=str(tmp_path))["stats"]["misses"] == 0


def test_change_of_any_kernel_file_changes_the_directory(tmp_path, monkeypatch):
    from fastnn.kernels import cache

    before = cache.source_hash()
    copy = tmp_path / "kernels"
    shutil.copytree(cache.KERNELS, copy)
    monkeypatch.setattr(cache, "KERNELS", copy)
    assert cache.source_hash() == before
    with open(copy / "activations.py", "a") as file:
        file.write("# a change\n")
    assert cache.source_hash() != before


# Compiles or loads two units; says on stderr when a compilation takes its bindings.
UNITS = """
import sys
from fastnn.kernels import jit
def bindings():
    print("compiles", file=sys.stderr)
    return {}
for name in sys.argv[1:]:
    jit.unit(lambda step, task: None, name, bindings)
"""
ONCE = "fastnn: compiling its kernels for this machine, once; this takes a few seconds"
EACH = (
    "fastnn: compiling its kernels for this process, which has no disk cache; "
    "this takes a few seconds"
)


def start(*units, code=UNITS, **variables):
    """A process of UNITS, its stderr to read."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *units],
        env=child_environment(**variables), stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def lines(process):
    """What it said on stderr, once it has ended well."""
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr
    return stderr.splitlines()


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


@pytest.mark.parametrize("stderr", ["None", "open(os.devnull)"])
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
    code = FIT.replace("X, y =", "seconds = fastnn.warmup(verbose=False)\n"
                       "assert seconds > 0\ncache.STATS['misses'] = 0\nX, y =")  # fmt: skip
    assert run_python(code, FASTNN_CACHE=str(tmp_path))["stats"]["misses"] == 0


def test_warmup_says_what_it_did(capsys):
    import fastnn

    seconds = fastnn.warmup(dtype="float64")
    assert isinstance(seconds, float)
    assert "kernels compiled for float64" in capsys.readouterr().err
    with pytest.raises(ValueError, match="dtype must be 'float32' or 'float64', got 'int8'"):
        fastnn.warmup(dtype="int8")
