"""Pictures of the weights that lead to hidden units."""

import numpy as np
import pytest

from common import make_problem
from fastnn import MLPClassifier, WeightsDisplay
from figures import texts

matplotlib = pytest.importorskip("matplotlib")
plt = pytest.importorskip("matplotlib.pyplot")


# ---- first-layer weights ---------------------------------------------------------


def test_images_of_weights(on_images):
    display = WeightsDisplay.from_estimator(on_images, n_columns=4)
    mosaic = np.ma.filled(display.image_.get_array(), np.nan)
    assert mosaic.shape == (3 * 4 + 2, 4 * 4 + 3)
    for unit in range(11):
        row, column = 5 * (unit // 4), 5 * (unit % 4)
        image = mosaic[row : row + 4, column : column + 4]
        np.testing.assert_array_equal(image, on_images.coefs_[0][:, unit].reshape(4, 4))
    assert np.isnan(mosaic).sum() == mosaic.size - 11 * 16
    limit = np.abs(on_images.coefs_[0]).max()
    assert display.image_.get_clim() == (-limit, limit)
    assert WeightsDisplay.from_estimator(on_images, vmax=2.0).image_.get_clim() == (-limit, 2.0)


def test_which_units(on_images):
    norms = np.linalg.norm(on_images.coefs_[0], axis=0)
    assert list(WeightsDisplay.from_estimator(on_images, units=3).units) == [0, 1, 2]
    display = WeightsDisplay.from_estimator(on_images, units=3, largest=True, number=True)
    assert list(display.units) == list(np.argsort(-norms)[:3])
    assert texts(display.ax_) == [str(unit) for unit in display.units]
    display = WeightsDisplay.from_estimator(on_images, units=[7, -1])
    assert display.units.tolist() == [7, 10]
    np.testing.assert_array_equal(display.weights, on_images.coefs_[0].T[[7, 10]])


def test_colour_images():
    X, y = make_problem("binary", n_features=18)
    clf = MLPClassifier(2, max_iter=3, random_state=0).fit(X, y)
    display = WeightsDisplay.from_estimator(clf, image_shape=(2, 3, 3), n_columns=1)
    image = np.ma.filled(display.image_.get_array(), np.nan)[:2]
    limit = np.abs(clf.coefs_[0]).max()
    weights = clf.coefs_[0][:, 0].reshape(2, 3, 3)
    np.testing.assert_allclose(image, 0.5 + weights / (2 * limit))
    assert display.colorbar_ is None
    display.figure_.canvas.draw()


def test_shape_of_grey_images(on_images, validated):
    with pytest.raises(ValueError, match="7 features cannot be guessed.*Pass image_shape="):
        WeightsDisplay.from_estimator(validated)
    display = WeightsDisplay.from_estimator(on_images, image_shape=(4, 4, 1))
    assert display.image_shape == (4, 4) and display.colorbar_ is not None


def test_norm_has_limits_of_its_own(on_images):
    norm = matplotlib.colors.TwoSlopeNorm(0, -3, 1)
    display = WeightsDisplay.from_estimator(on_images, norm=norm)
    assert display.image_.norm is norm and display.image_.get_clim() == (-3, 1)
    limit = np.abs(on_images.coefs_[0]).max()
    assert display.plot(norm=None).image_.get_clim() == (-limit, limit)


NO_SHAPE = "image_shape must be .* integers of at least 1; got"


@pytest.mark.parametrize(
    "name, wrong, message",
    [
        *(("image_shape", shape, "does not fit 16 features") for shape in ((4, 5), (2, 2, 4))),
        *(("image_shape", shape, NO_SHAPE) for shape in ((16,), (-4, -4), (4, 4.0), 16)),
        ("units", [0, 11], "numbers that the 11 units do not have"),
        *(("units", units, "a number of units or a list of") for units in ([0.5], [[0, 1]], [])),
        *(("units", n, f"units is an integer of at least 1, not {n}") for n in (0, 2.5, None)),
        *(("n_columns", n, f"n_columns is an integer of at least 1, not {n}") for n in (0, 1.5)),
    ],
)
def test_bad_use_of_weights(on_images, name, wrong, message):
    with pytest.raises(ValueError, match=message):
        WeightsDisplay.from_estimator(on_images, **{name: wrong})
    assert plt.get_fignums() == []
