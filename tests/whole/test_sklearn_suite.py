"""scikit-learn's own tests of its multi-layer perceptrons pass on fastnn's."""

import json
import subprocess
import sys
from xml.etree import ElementTree

import pytest
import sklearn

import fastnn
from common import child_environment, has_sklearn

# Tests of sklearn.neural_network.tests.test_mlp, by scikit-learn's version.
N_TESTS = {"1.6.1": 54, "1.9.1": 59}


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    """Run scikit-learn's tests in a process of their own; return its records."""
    folder = tmp_path_factory.mktemp("sklearn_suite")
    report, results = folder / "report.json", folder / "results.xml"
    process = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *("-p", "sklearn_on_fastnn", f"--junitxml={results}"),
            *("--pyargs", "sklearn.neural_network.tests.test_mlp"),
            # It calls a private method, which takes a sample_weight since 1.7.
            *(() if has_sklearn("1.7") else ("-k", "not test_gradient")),
        ],
        cwd=folder,
        env=child_environment(SKLEARN_ON_FASTNN_REPORT=str(report)),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert results.exists(), process.stdout + process.stderr
    cases = ElementTree.parse(results).getroot().iter("testcase")
    return json.loads(report.read_text()), list(cases), process


@pytest.mark.slow
def test_all_pass(suite):
    """Every test ran and passed: none failed, none was skipped or expected to fail."""
    _, cases, process = suite
    not_passed = {
        case.get("name"): child.tag
        for case in cases
        for child in case
        if child.tag in ("failure", "error", "skipped")
    }
    assert not_passed == {}, process.stdout[-20_000:]
    assert process.returncode == 0
    assert len(cases) == N_TESTS.get(sklearn.__version__, len(cases)) > 0


@pytest.mark.slow
def test_it_was_fastnn(suite):
    """The classes under test were fastnn's, and scikit-learn's never trained."""
    report, _, _ = suite
    ours = {f"{c.__module__}.{c.__qualname__}" for c in (fastnn.MLPClassifier, fastnn.MLPRegressor)}
    assert set(report["seen"]) == set(report["fits"]) == ours
    assert all(name.startswith("fastnn.") for name in ours)
    assert min(report["fits"].values()) > 10
