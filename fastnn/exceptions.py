"""Warnings of fastnn's own."""

from sklearn import exceptions


class AdviceWarning(UserWarning):
    """Advice that scikit-learn does not give: parameters without effect, scales that spoil a fit.

    A category of its own, so that programs that turn warnings into errors can except it.

    Examples
    --------
    >>> import warnings
    >>> from fastnn.exceptions import AdviceWarning
    >>> warnings.simplefilter("ignore", AdviceWarning)
    """


class InconsistentVersionWarning(exceptions.InconsistentVersionWarning):
    """An estimator is unpickled that another version of fastnn has pickled.

    Parameters
    ----------
    estimator_name : str
        Its class.
    current_version : str
        The version of fastnn that loads it.
    original_version : str
        The version of fastnn that saved it.

    Examples
    --------
    >>> from fastnn.exceptions import InconsistentVersionWarning
    >>> print(InconsistentVersionWarning(
    ...     estimator_name="MLPClassifier", current_version="0.2.0", original_version="0.1.0"
    ... ))
    Trying to unpickle estimator MLPClassifier from fastnn 0.1.0 when using version 0.2.0. This \
might lead to breaking code or invalid results. Use at your own risk: train it again, or load it \
with fastnn 0.1.0.
    """

    def __init__(self, *, estimator_name, current_version, original_version):
        super().__init__(
            estimator_name=estimator_name,
            current_sklearn_version=current_version,
            original_sklearn_version=original_version,
        )

    def __str__(self):
        original = self.original_sklearn_version
        return (
            f"Trying to unpickle estimator {self.estimator_name} from fastnn {original} when using "
            f"version {self.current_sklearn_version}. This might lead to breaking code or invalid "
            "results. Use at your own risk: train it again, or load it with fastnn "
            f"{original}."
        )
