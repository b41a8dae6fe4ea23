"""The CPU backend."""

from fastnn import forks
from fastnn.kernels import augmentation, prediction
from fastnn.kernels.cpu import pace, threads
from fastnn.kernels.cpu.machine import CpuMachine
from fastnn.kernels.passes import flops
from fastnn.kernels.verbs import Verbs


def _perceptron():
    # Networks, which begin with the import of this module, do not wait for it.
    with forks.importing:
        from fastnn.kernels.cpu import perceptron

    return perceptron


class CpuBackend(Verbs):
    """The compiled core on the CPU; see `fastnn.backends.Backend`."""

    def __init__(self, n_jobs=None):
        self.n_jobs = n_jobs

    @property
    def n_threads(self):
        """The most threads; finding out takes some microseconds."""
        return threads.resolve_n_jobs(self.n_jobs)

    @property
    def machine(self):
        return CpuMachine(self.n_threads)

    def forward(self, network, params, X, *, link=True, plans=None):
        if plans is None or not prediction.is_small(network, X):
            return super().forward(network, params, X, link=link)
        work = flops(network, len(X), backward=False)
        machine = CpuMachine(self.n_threads if pace.may_be_shared(work) else 1)
        return prediction.predict_small(network, machine, params, X, link, plans)

    def augment(self, settings, images, seed):
        return augmentation.augment(CpuMachine(1), settings, images, seed)

    def perceptron_sums(self, X, coef, intercept):
        return _perceptron().Perceptrons(X, coef, intercept).sums()

    def perceptron_learner(self, X, coef, intercept, targets, **settings):
        return _perceptron().Learner(X, coef, intercept, targets, **settings)
