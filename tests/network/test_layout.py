"""The order of the flat vector."""

import numpy as np

from fastnn.network.multilayer import multilayer_perceptron


def test_order_of_the_flat_vector():
    """It is what a pickle means, and where L-BFGS's bits come from: it never changes."""
    network = multilayer_perceptron((3, 4, 5, 2), "prelu", "log_loss", batch_norm=True)
    vector = np.arange(network.n_params)
    first, second = 3 * 4, 3 * 4 + 4 * 5
    assert [coef.ravel()[0] for coef in network.coefs(vector)] == [0, first, second]
    n_weights = second + 5 * 2
    starts = [intercept[0] for intercept in network.intercepts(vector)]
    assert starts == [n_weights, n_weights + 4, n_weights + 9]
    norms, slopes = n_weights + 11, n_weights + 11 + 2 * 9
    scale, shift, mean, variance = network.norms(vector)
    assert [scale[0][0], shift[0][0], scale[1][0], shift[1][0]] == [
        norms,
        norms + 4,
        norms + 8,
        norms + 13,
    ]
    assert [slope[0] for slope in network.slopes(vector)] == [slopes, slopes + 1]
    statistics = slopes + 2
    assert [mean[0][0], variance[0][0], mean[1][0], variance[1][0]] == [
        statistics,
        statistics + 4,
        statistics + 8,
        statistics + 13,
    ]
    counts = (network.n_weights, network.n_trained, network.n_params)
    assert counts == (n_weights, statistics, statistics + 18)
