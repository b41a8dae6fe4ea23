"""Programs that tests of the cache run in processes of their own, and what they say."""

import subprocess
import sys

from common import child_environment

# A fit and a prediction; prints what they did, as JSON.
FIT = """
import json, warnings
warnings.simplefilter("ignore")
from sklearn.datasets import load_digits
import fastnn
from fastnn.kernels import cache
from fastnn.kernels.cpu import jit
X, y = load_digits(return_X_y=True)
model = fastnn.MLPClassifier(max_iter=2, random_state=0).fit(X, y)
model.predict(X)
print(json.dumps({"stats": cache.STATS, "seconds": sum(jit.SECONDS.values()),
                  "directory": str(cache.cache_dir()), "loss": model.loss_,
                  "units": sorted(jit.SECONDS)}))
"""

# Compiles or loads the units that are named; says on stderr when a compilation takes its bindings.
UNITS = """
import sys
from fastnn.kernels.cpu import jit
def bindings():
    print("compiles", file=sys.stderr)
    return {}
for name in sys.argv[1:]:
    jit.unit(lambda step, task: None, name, bindings)
"""


def start(*units, code=UNITS, **variables):
    """A process of UNITS, its stderr to read."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *units],
        env=child_environment(**variables),
        stderr=subprocess.PIPE,
        text=True,
    )


def lines(process):
    """Wait for a process that has to end well; return the lines that it wrote to stderr."""
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr
    return stderr.splitlines()
