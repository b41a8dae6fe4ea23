"""The range of Numba's versions: what is outside is refused by the first fit, in words."""

import re
from pathlib import Path

import pytest

import fastnn
from common import run_python
from fastnn.kernels.numba_internals import FIRST_NUMBA, FIRST_NUMBA_TOO_NEW, check_version
from requirements import requires_at_runtime

# Imports fastnn with another version of Numba, prints what two uses raise, and then uses its own.
PROGRAM = """
import json, sys, warnings
warnings.simplefilter("ignore")
import numba
own, numba.__version__ = numba.__version__, sys.argv[1]
import fastnn
model = fastnn.{estimator}(max_iter=1)
before = dict(vars(model))
raised = []
for use in (lambda: model.fit([[0.0], [1.0]], [0, 1]), lambda: fastnn.warmup(verbose=False)):
    try:
        use()
    except ImportError as error:
        raised.append(str(error))
assert vars(model) == before
numba.__version__ = own
model.fit([[0.0], [1.0]], [0, 1])
print(json.dumps(raised))
"""


def dotted(version):
    return ".".join(map(str, version))


@pytest.mark.parametrize(
    "version", ["0.61.0", "0.61.0rc1", "0.62.1", "0.68.1", "0.68.0dev0+123.gabcdef"]
)
def test_versions_in_the_range(version):
    check_version(version)


@pytest.mark.parametrize(
    "version", ["0.60.0", "0.9.0", "0.69.0", "0.69.0rc1", "0.100.0", "1.0.0", "0+unknown"]
)
def test_versions_outside_the_range(version):
    with pytest.raises(ImportError) as caught:
        check_version(version)
    message = str(caught.value)
    first, too_new = dotted(FIRST_NUMBA), dotted(FIRST_NUMBA_TOO_NEW)
    assert f"cannot use Numba {version}," in message
    assert f"pip install 'numba>={first},<{too_new}'" in message


@pytest.mark.parametrize(("version", "helps"), [("0.60.0", False), ("0.69.0", True)])
def test_a_newer_fastnn_is_named_where_it_helps(version, helps):
    with pytest.raises(ImportError) as caught:
        check_version(version)
    assert ("newer fastnn" in str(caught.value)) == helps


@pytest.mark.parametrize("estimator", ["MLPClassifier", "Perceptron"])
def test_the_first_use_of_the_kernels_refuses_and_not_the_import(tmp_path, estimator):
    """Each use says so; the estimator is as it was, and fits where the version is right."""
    code = PROGRAM.format(estimator=estimator)
    raised = run_python(code, "0.99.0", FASTNN_CACHE=str(tmp_path))
    assert len(raised) == 2
    assert all("Numba 0.99.0" in message for message in raised)


def test_the_package_requires_the_same_range():
    """pyproject.toml and README say what `check_version` does."""
    (line,) = (line for line in requires_at_runtime() if re.match(r"numba\b", line))
    found = dict(re.findall(r"([<>=]+)([\d.]+)", line))
    assert found == {">=": dotted(FIRST_NUMBA), "<": dotted(FIRST_NUMBA_TOO_NEW)}
    readme = Path(fastnn.__file__).parent.parent / "README.md"
    if readme.exists():
        major, minor = FIRST_NUMBA_TOO_NEW
        words = " ".join(readme.read_text().split())
        assert f"Numba from {dotted(FIRST_NUMBA)} to {major}.{minor - 1};" in words
