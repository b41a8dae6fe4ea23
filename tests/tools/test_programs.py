"""Programs of the kind that scikit-learn shows print the same under `python -m fastnn`."""

import subprocess
import sys

import numpy as np
import pytest

from common import TESTS, child_environment, needs_sklearn

FOLDER = TESTS / "programs"
# Its scores are those of hundreds of steps of L-BFGS over kinks, which rounding decides.
SENSITIVE = FOLDER / "varying_alpha.py"
PROGRAMS = sorted(set(FOLDER.glob("*.py")) - {SENSITIVE})

pytestmark = [pytest.mark.slow, needs_sklearn("1.9")]


def printed(*command):
    process = subprocess.run(
        [sys.executable, *map(str, command)],
        env=child_environment(),
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_program_prints_the_same(program):
    assert printed("-m", "fastnn", program) == printed(program)


def test_scores_that_rounding_decides():
    """They are the same where scikit-learn's are for data that differ in the last place."""
    ours = printed("-m", "fastnn", SENSITIVE).splitlines()
    theirs = printed(SENSITIVE).splitlines()
    moved = [printed(SENSITIVE, seed).splitlines() for seed in (1, 2)]
    assert len(ours) == len(theirs) == 15
    n_equal = 0
    for our, their, *others in zip(ours, theirs, *moved, strict=True):
        if all(other == their for other in others):
            assert our == their
            n_equal += 1
        else:
            (our_name, our_numbers), (name, numbers) = (t.split(": ") for t in (our, their))
            assert our_name == name
            # The test set has 40 samples, of which two may be told apart otherwise.
            difference = np.subtract(
                [*map(float, our_numbers.split())], [*map(float, numbers.split())]
            )
            assert np.abs(difference).max() <= 2.5 / 40
    assert n_equal >= 4
