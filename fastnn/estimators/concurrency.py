"""Estimators that one thread fits while others predict by them, or fit them, too."""

import contextlib

# Private attributes that fits set.
FITS_OWN = {
    "_class_weights",
    "_criterion",
    "_has_stopped",
    "_label_binarizer",
    "_no_improvement_count",
    "_random_state",
    "_trained",
    "_training_state",
}


def _is_fitted(name):
    """Whether an attribute is one of a fit's by its name, and no parameter nor the user's own."""
    return name.endswith("_") or name in FITS_OWN


class AtOnceMixin:
    """Estimators whose attributes change all at once, at the end of a fit that succeeds.

    A fit works on a copy, and predictions begin with one, so that they see all that a fit has
    changed, or nothing of it. A fit that fails has changed nothing.
    """

    def _as_of_now(self):
        """A copy of the estimator that has the same attributes, whatever other threads do to it."""
        moment = object.__new__(type(self))
        # One call that runs no Python code, during which no other thread can run.
        vars(moment).update(vars(self))
        return moment

    def _take_over(self, worker, before):
        """Take over the attributes of a copy that was made when they were those of ``before``.

        What has been set meanwhile stays, but for the fitted attributes of another fit.
        """
        after, now = vars(worker), vars(self)
        attributes = {
            name: value
            for name, value in now.items()
            if name not in before and not name.endswith("_")
        }
        nothing = object()
        for name, value in after.items():
            if _is_fitted(name) or value is not before.get(name, nothing):
                attributes[name] = value
            elif name in now:
                attributes[name] = now[name]
        object.__setattr__(self, "__dict__", attributes)

    @contextlib.contextmanager
    def _taken_over(self, worker, before):
        """Within this, what `_take_over` takes over counts; if it raises, all is as it was."""
        previous = vars(self)
        self._take_over(worker, before)
        try:
            yield
        except BaseException:
            object.__setattr__(self, "__dict__", previous)
            raise
