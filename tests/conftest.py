"""Settings that hold for every test module."""

import os

import pytest
import sklearn
from hypothesis import HealthCheck, settings

# Pictures are drawn, not shown.
os.environ.setdefault("MPLBACKEND", "Agg")

# The same examples on every run, and no deadline: a first call may compile.
settings.register_profile(
    "fastnn",
    deadline=None,
    database=None,
    derandomize=True,
    max_examples=30,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("fastnn")


@pytest.fixture(autouse=True)
def _restore_sklearn_config():
    """Undo what a test does to scikit-learn's global configuration."""
    with sklearn.config_context():
        yield


# A program for where PyTorch is.
collect_ignore = ["recordings/record.py"]
# Programs that a test runs.
collect_ignore_glob = ["programs/*.py"]
