"""Trainings have the bits that were recorded: on every machine, by any number of threads."""

import pytest

import golden
from common import run_python
from processors import AVX2, host_has

SUMS = """
import json, sys
import golden
from common import share_all_work, with_help

n_jobs = int(sys.argv[1])
if n_jobs > 1:
    share_all_work()
    sums = with_help(lambda: golden.golden_sums(n_jobs))
else:
    sums = golden.golden_sums(n_jobs)
print(json.dumps(sums))
"""


@pytest.mark.parametrize("name", golden.CASES)
def test_bits_are_as_recorded(name):
    assert golden.golden_sum(name) == golden.recorded()[name]


def test_every_record_has_its_case():
    assert set(golden.recorded()) == set(golden.CASES)


def test_cases_differ():
    """Only a sparse matrix trains to the bits of a dense one."""
    sums = golden.recorded()
    dense = [value for name, value in sums.items() if not golden.CASES[name]["is_sparse"]]
    assert len(set(dense)) == len(dense)
    assert sums["adam, sparse"] == sums["adam"]


@pytest.mark.slow
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_bits_by_threads(n_jobs):
    assert run_python(SUMS, n_jobs, timeout=600) == golden.recorded()


@pytest.mark.slow
@pytest.mark.skipif(not host_has("fma"), reason="this processor has no AVX2 with FMA")
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_bits_with_avx2(n_jobs):
    assert run_python(SUMS, n_jobs, timeout=600, **AVX2) == golden.recorded()
