"""The examples run; the long ones, and those that need MNIST, are not here."""

import subprocess
import sys

import pytest

from common import TESTS, child_environment

EXAMPLES = TESTS.parent / "examples"
# RUNS has each example's arguments on the command line, and words that it prints.
RUNS = {
    "drop_in.py": ([], ""),
    "regression.py": ([], ""),
    "validation.py": ([], "balanced accuracy"),
    "advice.py": ([], "X is not scaled"),
    "looking_inside.py": (["."], "network.png"),
    "saliency.py": (["."], "saliency.png"),
    "patched.py": ([], "test accuracy"),
}
NEEDS = {"callbacks.py": "sklearn.callback", "onnx_export.py": "skl2onnx"}


@pytest.mark.slow
@pytest.mark.parametrize("name", [*RUNS, *NEEDS])
def test_example(name, tmp_path):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    arguments, words = RUNS.get(name, ([], ""))
    module = ["-m", "fastnn", "--stats"] if name == "patched.py" else []
    process = subprocess.run(
        [sys.executable, *module, EXAMPLES / name, *arguments],
        env=child_environment(MPLBACKEND="Agg"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout and words in process.stdout
    assert "Warning" not in process.stderr
