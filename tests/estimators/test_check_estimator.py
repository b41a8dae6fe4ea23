"""scikit-learn's estimator checks, one by one, with none expected to fail."""

import pytest
import sklearn
from sklearn.utils import estimator_checks
from sklearn.utils._testing import assert_allclose
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

from common import ESTIMATORS

# Checks that scikit-learn has for its own two estimators, by its version.
N_CHECKS = {
    "1.6.1": {"MLPClassifier": 67, "MLPRegressor": 59},
    "1.9.1": {"MLPClassifier": 68, "MLPRegressor": 60},
}

PRECISIONS = ({}, {"dtype": "float32"}, {"dtype": "float64"})
INSTANCES = [cls(**params) for cls in ESTIMATORS for params in PRECISIONS]


@parametrize_with_checks(INSTANCES, expected_failed_checks=lambda estimator: {})
def test_check(estimator, check, monkeypatch):
    is_weight_check = "sample_weight_equivalence" in check.func.__name__
    if estimator.dtype == "float32" and is_weight_check:
        # This check alone compares to 1e-7 whatever the dtype, which is finer than
        # float32's roundoff. Its tolerance becomes the one that scikit-learn's own
        # assert_allclose has for each dtype: 1e-4 in float32.
        monkeypatch.setattr(
            estimator_checks,
            "assert_allclose_dense_sparse",
            lambda x, y, err_msg: assert_allclose(x, y, err_msg=err_msg),
        )
    check(estimator)


@pytest.mark.parametrize("estimator", INSTANCES, ids=repr)
def test_number_of_checks(estimator):
    """None of the checks went missing, for instance through a wrong estimator tag."""
    if sklearn.__version__ not in N_CHECKS:
        pytest.skip(f"the number of checks in scikit-learn {sklearn.__version__} is not known")
    n_checks = len(list(estimator_checks_generator(estimator)))
    assert n_checks == N_CHECKS[sklearn.__version__][type(estimator).__name__]
