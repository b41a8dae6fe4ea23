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


def test_default_directory(tmp_path):
    found = run_python(
        "import json; from fastnn.kernels import cache; print(json.dumps(str(cache.cache_dir())))",
        FASTNN_CACHE="", XDG_CACHE_HOME=str(tmp_path),
        HOME=str(tmp_path), LOCALAPPDATA=str(tmp_path),
    )  # fmt: skip
    assert found.startswith(str(tmp_path))


@pytest.mark.parametrize("content", [b"", b"not a pickle", None])
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
