"""The backends: what training needs of a device, and the choice of one.

This is the only module that asks which device is wanted.
"""

from functools import cache
from typing import Protocol

from fastnn import forks

DEVICES = ("cpu", "cuda", "auto")
# With device="auto" a GPU is used for a training that it is expected to shorten by WORTH_SECONDS,
# which is about what compiling for it takes, in EPOCHS epochs. A thread does CPU_FLOPS and a GPU
# GPU_FLOPS floating point operations a second, and a GPU's step takes GPU_STEP seconds at least.
WORTH_SECONDS, EPOCHS = 5.0, 50
CPU_FLOPS, GPU_FLOPS, GPU_STEP = 5e10, 1e13, 2e-5


class Trainer(Protocol):
    """Trains a network on mini-batches of one data set.

    Attributes
    ----------
    rows_done : int
        Rows that the last ``train_epoch`` trained on.
    """

    def train_epoch(self, order, rates=None, deadline=None):
        """Train on the data's rows in that order, in place.

        Parameters
        ----------
        order : ndarray of shape (n,), int64
            Rows of the data; every ``batch_size`` of them are a mini-batch, the last may be
            shorter. A mini-batch whose weights sum to zero is skipped.
        rates : ndarray of shape (mini-batches,), optional
            The learning rate of each; without it all have the optimizer's.
        deadline : float, optional
            A time of `time.perf_counter`, from which on no more mini-batches are begun; at least
            one is trained on.

        Returns
        -------
        loss : float
            Mean over the rows done of their mini-batch's loss, its L2 term included, before its
            update.

        Notes
        -----
        Comes back to Python about once a second at the latest, and many times where mini-batches
        are short, so that Ctrl-C raises KeyboardInterrupt out of it; the parameters are then those
        that training had reached.
        """

    def fetch(self):
        """Bring all of the state up to date.

        After each ``train_epoch`` the parameters, their average and all numbers are, but not the
        slots of the optimizer.
        """


class Backend(Protocol):
    """The verbs of a device. The dtype of ``params`` is the precision of all of them."""

    def trainer(self, network, data, state, *, regularization, batch_size):
        """A `Trainer` that changes the state, a `fastnn.network.state.TrainingState`, in place."""

    def objective(self, network, data, *, alpha, dtype, rows=None):
        """A callable: params (n_params,) -> loss, gradient (n_params,), of the data or its rows."""

    def evaluation(self, network, data, *, dtype, rows=None):
        """A callable: params (n_params,) -> outputs (n_rows, n_outputs), losses (n_rows,).

        Of the data or its rows. The outputs are overwritten by the next call; the losses,
        float64, have no penalty and no weights.
        """

    def forward(self, network, params, X, *, link=True, plans=None):
        """Predictions (n_rows, n_outputs) for X; without ``link``, raw ones.

        ``plans`` is a dict that the caller keeps with ``params``; what the backend puts there
        serves the next prediction.
        """

    def hidden(self, network, params, X, layer):
        """Activations (n_rows, n_units) of hidden layer ``layer``, from 0, for X.

        Of a network without batch normalisation, as that of `forward` is.
        """

    def input_gradient(self, network, params, X, weights):
        """Gradient (n_rows, n_features), with respect to X, of its raw outputs times ``weights``.

        The weights are an ndarray (n_rows, n_outputs), of any strides, in the dtype of ``params``.
        Of a network without batch normalisation.
        """

    # The following are the CPU's alone.

    def augment(self, settings, images, seed):
        """Augment ``images`` (n_rows, n_features) in place, and return them.

        The settings are a `fastnn.network.regularization.Augmentation`.
        """

    def perceptron_sums(self, X, coef, intercept):
        """Weighted sums (n_rows, n_outputs), float64, of perceptrons for X."""

    def perceptron_learner(
        self, X, coef, intercept, targets, *, rate, fit_intercept, sample_weight=None
    ):
        """Perceptrons with ``weights`` that ``run_epoch(order)`` changes, which returns errors.

        See `fastnn.kernels.cpu.perceptron.Learner`.
        """


def get_backend(device="cpu", n_jobs=None, *, trains=True):
    """The backend of a device.

    Parameters
    ----------
    device : {"cpu", "cuda", "auto"}, default="cpu"
        With "auto" each training is given to the GPU, where there is one and the training gains by
        it, and else to the CPU.
    n_jobs : int or None, default=None
        Threads, in joblib's meaning for negative numbers; None: as many as the process may use.
    trains : bool, default=True
        Whether it is to train. Otherwise, where there is no GPU, device="cuda" is the CPU, too: a
        model that was trained on a GPU predicts anywhere, to the same bits.

    Returns
    -------
    backend : Backend

    Raises
    ------
    RuntimeError
        If a GPU is asked for, and there is none to be used; it says why.
    """
    if device not in DEVICES:
        raise ValueError(f"device must be one of {DEVICES}, got {device!r}.")
    # Imported when it is asked for: Numba takes a while. So do its threads, at the first start.
    with forks.importing:
        from fastnn.kernels.cpu.backend import CpuBackend

    cpu = CpuBackend(n_jobs)
    if device == "cpu":
        return cpu
    if device == "auto" or not trains:
        cuda = None if why_no_cuda() else _cuda_backend(cpu)
        return cpu if cuda is None else _AutoBackend(cpu, cuda) if device == "auto" else cuda
    return _cuda_backend(cpu)


def _cuda_backend(cpu):
    with forks.importing:
        from fastnn.kernels.cuda.backend import CudaBackend

    return CudaBackend(cpu)


@cache
def why_no_cuda():
    """Why device="cuda" is no choice in this process, in words; None where it is one."""
    try:
        _cuda_backend(None)
    except RuntimeError as error:
        return str(error)
    return None


class _AutoBackend:
    """A backend that gives large trainings to the GPU, and everything else to the CPU."""

    def __init__(self, cpu, cuda):
        self._cpu, self._cuda = cpu, cuda

    def __getattr__(self, name):
        return getattr(self._cpu, name)

    def trainer(self, network, data, state, *, regularization, batch_size):
        n_rows = data.X.shape[0]
        # Forward, and twice as many for the gradients of weights and inputs.
        flops = EPOCHS * 6.0 * n_rows * sum(network.products)
        n_steps = EPOCHS * -(-n_rows // batch_size)
        on_gpu = max(flops / GPU_FLOPS, n_steps * GPU_STEP)
        gain = flops / (CPU_FLOPS * self._cpu.n_threads) - on_gpu
        backend = self._cuda if gain > WORTH_SECONDS else self._cpu
        return backend.trainer(
            network, data, state, regularization=regularization, batch_size=batch_size
        )
