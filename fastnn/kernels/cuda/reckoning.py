"""How much of a device's memory a training takes, before it takes any."""

from scipy import sparse

from fastnn.kernels.passes import MOST_PARTS, sums_in_parts

# The driver and the kernels need some of it, too.
RESERVE = 256 << 20


def bytes_of_data(data):
    """Bytes of what has to lie on the device: y, the weights, and X where it is sparse."""
    X = data.X
    arrays = (X.data, X.indices, X.indptr) if sparse.issparse(X) else ()
    return sum(array.nbytes for array in (*arrays, data.y, data.sample_weight) if array is not None)


def bytes_of_training(network, data, state, batch_size):
    """Bytes of the data, of the state and the gradient, and of a mini-batch's matrices.

    A dense X does not count: where it is too large, the host gathers its mini-batches.
    """
    params = state.params
    n_vectors = 2 + len(state.optimizer.slots) + (state.average is not None)
    if sums_in_parts(network, data.X, batch_size):
        n_vectors += MOST_PARTS
    # Each layer has its values and their deltas, and maybe what is before its activation.
    matrices = 3 * batch_size * network.n_values
    return bytes_of_data(data) + (n_vectors * params.size + matrices) * params.itemsize


def check_memory(device, needed):
    """Raise MemoryError unless the device has so many bytes of memory to spare."""
    free = device.free_bytes()
    if needed + RESERVE > free:
        raise MemoryError(
            f"This training needs {needed / 1e9:.2f} GB of the GPU's memory, for the network, the "
            f"targets and one mini-batch, and {free / 1e9:.2f} GB are free, of which "
            f"{RESERVE / 1e9:.2f} GB are kept for the driver. Use dtype='float32', a smaller "
            "batch_size or network, or device='cpu'."
        )
