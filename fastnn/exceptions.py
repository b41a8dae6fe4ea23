"""Warnings of fastnn's own."""


class AdviceWarning(UserWarning):
    """Advice that scikit-learn does not give: parameters without effect, scales that spoil a fit.

    A category of its own, so that programs that turn warnings into errors can except it.

    Examples
    --------
    >>> import warnings
    >>> from fastnn.exceptions import AdviceWarning
    >>> warnings.simplefilter("ignore", AdviceWarning)
    """
