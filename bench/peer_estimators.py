"""fastnn and scikit-learn: an estimator's fit.

A ``prepare_*`` of a peer takes a row, its data and a number of threads (None: the library's own
choice), compiles what the library compiles ahead, and returns the seconds of that (None: it
compiles nothing) and a function that trains once, from the initial weights on, and returns the
seconds and the final coefs and intercepts.
"""

import warnings
from functools import cache, partial
from time import perf_counter

from threadpoolctl import threadpool_limits


def prepare_fastnn(row, X, y, n_threads):
    """fastnn's MLPClassifier.fit, with as many threads as it chooses itself."""
    from fastnn import MLPClassifier

    compile_seconds = warm_up_fastnn(X.dtype.name)
    return compile_seconds, partial(
        timed_fit, MLPClassifier(**row.params, n_jobs=n_threads), X, y, None
    )


@cache
def warm_up_fastnn(dtype):
    """The seconds of fastnn.warmup, where this process has nothing compiled."""
    import fastnn

    return fastnn.warmup(dtype=dtype, verbose=False)


def prepare_sklearn(row, X, y, n_threads):
    """scikit-learn's MLPClassifier.fit, with n_threads in its BLAS."""
    from sklearn.neural_network import MLPClassifier

    return None, partial(timed_fit, MLPClassifier(**row.params), X, y, n_threads)


def timed_fit(estimator, X, y, n_blas_threads):
    """Seconds of a fit, and its weights."""
    with warnings.catch_warnings(), threadpool_limits(n_blas_threads, user_api="blas"):
        # Every epoch is wanted, converged or not.
        warnings.simplefilter("ignore")
        start = perf_counter()
        estimator.fit(X, y)
        return perf_counter() - start, estimator.coefs_, estimator.intercepts_
