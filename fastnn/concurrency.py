"""Estimators that one thread fits while others predict by them, or fit them, too."""

import contextlib


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

        Parameters that have been set meanwhile stay, and so do attributes that are new and not
        those of another fit.
        """
        after = vars(worker)
        parameters = set(self._get_param_names())
        attributes = {
            name: value
            for name, value in vars(self).items()
            if name not in before and not name.endswith("_")
        }
        for name, value in after.items():
            is_set_meanwhile = name in parameters and value is before.get(name)
            attributes[name] = vars(self).get(name, value) if is_set_meanwhile else value
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
