"""ImageAugmenter: what it does to images, and training with it."""

import pickle
import tracemalloc

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils._param_validation import InvalidParameterError

from augmented import EVERYTHING, images, train
from common import assert_same_model, run_python
from fastnn import ImageAugmenter, MLPClassifier, MLPRegressor
from fastnn.backends import get_backend
from fastnn.exceptions import AdviceWarning
from fastnn.kernels.cpu import pace
from processors import AVX2, host_has
from reference_augmentation import augmented

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
SMALL = dict(hidden_layer_sizes=(12,), batch_size=32, max_iter=3, random_state=0)


def places(n, height, width):
    """Images (n, height * width * 2) whose two channels are each pixel's own y and x.

    Bilinear interpolation of these is exact, so an augmented one says where each pixel is from.
    """
    ramp = np.moveaxis(np.indices((height, width)), 0, -1).astype(float)
    return np.stack([ramp.ravel()] * n)


def sources(n, height, width, **settings):
    """Where pixels (n, height, width) are taken from, (y, x) from the middle of the image.

    NaN where that is outside, as it then is not known.
    """
    augmenter = ImageAugmenter((height, width, 2), **settings, random_state=0)
    found = augmenter.transform(places(n, height, width)).reshape(n, height, width, 2)
    size = np.array([height, width])
    inside = ((found > 0) & (found < size - 1)).all(axis=-1)
    assert inside[:, height // 2, width // 2].mean() > 0.9
    return np.where(inside[..., None], found - (size - 1) / 2, np.nan)


def fitted_matrices(n, **settings):
    """The matrix (n, 2, 2) of each image by which its pixels' sources hang on their places."""
    found = sources(n, 41, 41, **settings)
    middle = np.array([20, 20])
    points = [middle, middle + (4, 0), middle + (0, 4)]
    centre, below, right = (found[:, y, x] for y, x in points)
    return np.stack([below - centre, right - centre], axis=-1) / 4


# ---- transform -------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(28, 28), (9, 14, 3), (1, 60), (6, 1, 2)])
@pytest.mark.parametrize("fill", ["edge", 0.7])
@pytest.mark.parametrize("some", [*EVERYTHING, "everything", "half a turn", "fine"])
def test_against_the_oracle(some, fill, shape, dtype):
    settings = {
        "everything": EVERYTHING,
        "half a turn": {"rotate": 180, "scale": 0.9},
        "fine": {"elastic": (6, 1), "scale": 0.2},
    }.get(some) or {some: EVERYTHING[some]}
    augmenter = ImageAugmenter(shape, **settings, fill=fill)
    X = images(7, shape, dtype)
    checked = augmenter.check_images(X)
    result = get_backend().augment(checked, X.copy(), seed=3)
    tolerance = 5e-5 if dtype == np.float32 else 1e-11
    np.testing.assert_allclose(result, augmented(checked, X, seed=3), atol=tolerance)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_transform_returns_new_images(dtype):
    X = images(dtype=dtype)
    before = X.copy()
    X.flags.writeable = False
    augmenter = ImageAugmenter((9, 12), **EVERYTHING, random_state=0)
    result = augmenter.transform(X)
    assert result.shape == X.shape and result.dtype == dtype
    assert (result != X).mean() > 0.9
    np.testing.assert_array_equal(X, before)
    for same in (np.asfortranarray(X), np.repeat(X, 2, axis=1)[:, ::2]):
        np.testing.assert_array_equal(augmenter.fit_transform(same), result)


def test_no_change_by_default_but_integers_become_float64():
    X = np.arange(24).reshape(2, 12)
    result = ImageAugmenter((3, 4)).transform(X)
    assert result.dtype == np.float64
    np.testing.assert_array_equal(result, X)


def test_random_state():
    X = images()
    augmenter = ImageAugmenter((9, 12), rotate=30)
    assert (augmenter.transform(X) != augmenter.transform(X)).any()
    augmenter.set_params(random_state=np.random.RandomState(0))
    first, second = augmenter.transform(X), augmenter.transform(X)
    assert (first != second).any()
    augmenter.set_params(random_state=0)
    np.testing.assert_array_equal(augmenter.transform(X), first)
    # An image's draws do not hang on how many there are.
    np.testing.assert_array_equal(augmenter.transform(X[:3]), first[:3])


def test_shift():
    n = 2000
    found = sources(n, 15, 21, shift=(2, 5))
    for axis, most in enumerate((2, 5)):
        moved = found[:, 7, 10, axis]
        assert np.nanmax(np.abs(moved)) <= most
        assert np.nanmean(np.abs(moved)) == pytest.approx(most / 2, rel=0.05)
        assert abs(np.nanmean(moved)) < most / 20
    # All pixels of an image alike.
    steps = np.diff(found, axis=2)[~np.isnan(np.diff(found, axis=2)).any(axis=-1)]
    np.testing.assert_allclose(steps, np.broadcast_to([0, 1], steps.shape), atol=1e-12)


def test_rotate():
    matrices = fitted_matrices(500, rotate=30)
    np.testing.assert_allclose(
        matrices @ matrices.swapaxes(1, 2), np.broadcast_to(np.eye(2), (500, 2, 2)), atol=1e-12
    )
    angles = np.rad2deg(np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0]))
    assert 29 < angles.max() <= 30 and -30 <= angles.min() < -29


def test_scale():
    matrices = fitted_matrices(500, scale=0.25)
    sizes = 1 / matrices[:, [0, 1], [0, 1]]
    np.testing.assert_allclose(sizes[:, 0], sizes[:, 1])
    np.testing.assert_allclose(matrices[:, [0, 1], [1, 0]], 0, atol=1e-12)
    assert 0.75 <= sizes.min() < 0.76 and 1.24 < sizes.max() <= 1.25
    matrices = fitted_matrices(500, scale=(0.1, 0.25))
    sizes = 1 / matrices[:, [0, 1], [0, 1]] - 1
    assert np.abs(sizes).max(axis=0) == pytest.approx([0.1, 0.25], rel=0.02)
    assert abs(np.corrcoef(sizes.T)[0, 1]) < 0.15


def test_skew():
    """Rows move sideways, each by as much as it is from the middle."""
    matrices = fitted_matrices(500, skew=0.3)
    np.testing.assert_allclose(matrices[:, [0, 0, 1], [0, 1, 1]] - [1, 0, 1], 0, atol=1e-12)
    assert np.abs(matrices[:, 1, 0]).max() == pytest.approx(0.3, rel=0.02)


def test_reflect():
    X = images(400, (4, 5))
    pictures = X.reshape(400, 4, 5)
    mirrored = {
        "horizontal": [pictures[:, :, ::-1]],
        "vertical": [pictures[:, ::-1]],
        "both": [pictures[:, :, ::-1], pictures[:, ::-1], pictures[:, ::-1, ::-1]],
    }
    for reflect, others in mirrored.items():
        kinds = [pictures, *others]
        augmenter = ImageAugmenter((4, 5), reflect=reflect, random_state=0)
        result = augmenter.transform(X).reshape(pictures.shape)
        is_kind = np.array([(result == kind).all(axis=(1, 2)) for kind in kinds])
        np.testing.assert_array_equal(is_kind.sum(axis=0), 1)
        np.testing.assert_allclose(is_kind.mean(axis=1), 1 / len(kinds), atol=0.07)


def test_contrast():
    """About the mean of all channels, which stays; nothing is clipped."""
    X = images(300, (4, 5, 3))
    result = ImageAugmenter((4, 5, 3), contrast=0.5, random_state=0).transform(X)
    mean = X.mean(axis=1, keepdims=True)
    factors = (result - mean) / (X - mean)
    np.testing.assert_allclose(factors, factors[:, :1] * np.ones_like(X), rtol=1e-9)
    assert 0.5 <= factors.min() < 0.51 and 1.49 < factors.max() <= 1.5
    assert result.max() > 1.3


@pytest.mark.parametrize("alpha, sigma", [(34, 4), (8, 2.5)])
def test_elastic_field(alpha, sigma):
    """Displacements have the documented size and the covariance of Simard's, edges included."""
    augmenter = ImageAugmenter((32, 32, 2), elastic=(alpha, sigma), random_state=0)
    X = places(3000, 32, 32)
    field = (augmenter.transform(X) - X).reshape(3000, 32, 32, 2)[:, 6:26, 6:26]
    assert abs(field.mean()) < 0.05
    assert field.std() == pytest.approx(0.163 * alpha / sigma, rel=0.02)
    assert abs(np.corrcoef(field[:, 9, 9].T)[0, 1]) < 0.06
    for lag in (2, 5, 9):
        expected = pytest.approx(np.exp(-((lag / sigma) ** 2) / 4), abs=0.03)
        for moved in (field[:, lag:], field[:, :, lag:]):
            still = field[:, : moved.shape[1], : moved.shape[2]]
            assert np.mean(moved * still) / field.var() == expected


def test_elastic_at_the_edge():
    """As strong as in the middle: the value one pixel in, of a ramp that the edge clamps at 0."""
    X = places(4000, 24, 24)
    result = ImageAugmenter((24, 24, 2), elastic=(6, 4), random_state=1).transform(X)
    field = (result - X).reshape(4000, 24, 24, 2)
    assert field[:, 1, 1].std() == pytest.approx(field[:, 12, 12].std(), rel=0.05)


def test_fill():
    X = np.full((50, 36), 5.0)
    augmenter = ImageAugmenter((6, 6), shift=3, random_state=0)
    np.testing.assert_allclose(augmenter.transform(X), 5.0)
    filled = augmenter.set_params(fill=-1).transform(X)
    assert filled.min() == -1 and filled.max() == 5


def test_number_for_elastic_is_alpha():
    number, pair = (ImageAugmenter((9, 12), elastic=e, random_state=0) for e in (20, (20, 4)))
    np.testing.assert_array_equal(number.transform(images()), pair.transform(images()))


@pytest.mark.parametrize(
    "shape, n, settings, most",
    [
        ((40, 40), 200, EVERYTHING, 1.3 * 200 * 1600),  # The result, and room to work.
        ((1, 6000), 1, {"shift": 2}, 40 * 6000),
        ((1, 1500), 1, {"elastic": (2, 1)}, 1.2 * 1500 * 1504),  # A table of that many.
    ],
)
def test_memory_of_transform(shape, n, settings, most):
    X = images(n, shape)
    augmenter = ImageAugmenter(shape, **settings)
    augmenter.transform(X[:1])  # Compiled before it is measured.
    tracemalloc.start()
    augmenter.transform(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert X.nbytes < peak < 8 * most


# ---- training --------------------------------------------------------------------------


@pytest.mark.parametrize("dropout", [(), (0.2, 0.5)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_training_sees_what_transform_shows(dtype, dropout):
    """A first step, bit by bit; dropout and augmentation draw from places of their own."""
    X = images(100, dtype=dtype)
    augmenter = ImageAugmenter((9, 12), **EVERYTHING)
    shown = get_backend().augment(augmenter.check_images(X), X.copy(), seed=3)
    how = dict(dtype=dtype, dropout=dropout)
    np.testing.assert_array_equal(train(X, augmenter, **how), train(shown, None, **how))
    assert (train(X, None, **how) != train(shown, None, **how)).any()


def test_every_step_and_seed_has_its_own():
    X = np.tile(images(100), (3, 1))
    augmenter = ImageAugmenter((9, 12), shift=2)
    settings = augmenter.check_images(X)
    steps = [augmented(settings, X[:100], seed=3, step=step) for step in (1, 2, 3)]
    np.testing.assert_allclose(
        train(X, augmenter), train(np.concatenate(steps), None), rtol=1e-9, atol=1e-12
    )
    assert (train(X, augmenter) != train(X, augmenter, seed=4)).any()


TRAIN = """
import hashlib, json, sys
import numpy as np
from common import share_all_work, with_help
from fastnn.kernels.cpu import simd
from augmented import EVERYTHING, images, train
from fastnn import ImageAugmenter
n_jobs = json.loads(sys.argv[1])
if n_jobs > 1:
    share_all_work()
def run():
    digest = hashlib.sha256()
    for dtype in ("float32", "float64"):
        for shape in ((9, 12), (6, 6, 3)):
            for fill in ("edge", 0.3):
                augmenter = ImageAugmenter(shape, **EVERYTHING, fill=fill)
                X = images(250, shape, dtype)
                digest.update(train(X, augmenter, epochs=3, n_jobs=n_jobs, dtype=dtype).tobytes())
                digest.update(augmenter.set_params(random_state=0).transform(X).tobytes())
    return digest.hexdigest()

digest = run() if n_jobs == 1 else with_help(run)
print(json.dumps([digest, simd.vector_bytes()]))
"""


@pytest.fixture(scope="module")
def serial():
    return run_python(TRAIN, 1)


@pytest.mark.parametrize("n_jobs", [2, 3])
@pytest.mark.slow
def test_same_bits_on_threads(serial, n_jobs):
    assert run_python(TRAIN, n_jobs) == serial


@pytest.mark.slow
@pytest.mark.skipif(not host_has("fma"), reason="this processor has no AVX2 with FMA")
def test_same_bits_with_avx2(serial):
    digest, vector_bytes = run_python(TRAIN, 1, **AVX2)
    assert vector_bytes == 32
    assert digest == serial[0]


@pytest.mark.parametrize("limit", ["SLICE", "LONG"])
def test_same_bits_in_slices(monkeypatch, limit):
    """A mini-batch at a time, and parts of a mini-batch."""
    X, augmenter = images(250), ImageAugmenter((9, 12), **EVERYTHING)
    expected = train(X, augmenter)
    monkeypatch.setattr(pace, limit, 1e-12)
    np.testing.assert_array_equal(train(X, augmenter), expected)


# ---- estimators ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X / 16, y


def test_learns_what_it_is_shown(digits):
    """Digits that are a pixel off are known to a network that has seen such."""
    X, y = digits
    pictures = np.pad(X.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))
    moved = np.roll(pictures, (1, -1), axis=(1, 2)).reshape(-1, 100)
    X = pictures.reshape(-1, 100)
    scores = [
        MLPClassifier((60,), max_iter=60, batch_size=50, random_state=0, augment=augment)
        .fit(X[:1200], y[:1200])
        .score(moved[1200:], y[1200:])
        for augment in (None, ImageAugmenter((10, 10), shift=1.5))
    ]
    assert scores[0] < 0.7 and scores[1] > 0.85


def test_regressor_and_multioutput(digits):
    X = digits[0][:100]
    model = MLPRegressor(**SMALL, augment=ImageAugmenter((8, 8), rotate=20))
    twin = clone(model)
    assert_same_model(model.fit(X, X[:, :3]), twin.fit(X, X[:, :3]), X)
    plain = clone(model).set_params(augment=None).fit(X, X[:, :3])
    assert (plain.coefs_[0] != model.coefs_[0]).any()


def test_in_pipeline_and_grid_search(digits):
    X, y = digits[0][:300], digits[1][:300]
    augmenter = ImageAugmenter((8, 8), rotate=10, fill=0)
    network = MLPClassifier(**SMALL, augment=augmenter)
    pipeline = Pipeline([("scale", MinMaxScaler()), ("mlp", network)])
    grid = {"mlp__augment__shift": [0, 3]}
    search = GridSearchCV(pipeline, grid, cv=2, scoring="neg_log_loss").fit(X, y)
    unmoved, moved = search.cv_results_["mean_test_score"]
    assert unmoved != moved
    chosen = 0 if unmoved > moved else 3
    assert search.best_estimator_["mlp"].augment.shift == chosen and augmenter.shift == 0


def test_validation_rows_are_as_they_are(digits):
    X, y = digits
    params = SMALL | {"early_stopping": True, "learning_rate_init": 1e-12}
    wild = ImageAugmenter((8, 8), shift=8, contrast=1)
    plain = MLPClassifier(**params).fit(X, y)
    model = MLPClassifier(**params, augment=wild).fit(X, y)
    assert model.validation_scores_ == plain.validation_scores_
    assert model.loss_curve_ != plain.loss_curve_


def test_predictions_are_of_the_images_given(digits):
    X, y = digits
    model = MLPClassifier(**SMALL, augment=ImageAugmenter((8, 8), **EVERYTHING)).fit(X, y)
    before = model.predict_proba(X)
    np.testing.assert_array_equal(before, model.predict_proba(X))
    hidden = np.maximum(X @ model.coefs_[0] + model.intercepts_[0], 0)
    z = hidden @ model.coefs_[1] + model.intercepts_[1]
    expected = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(before, expected, atol=1e-10)


def test_partial_fit(digits):
    X, y = digits
    model = MLPClassifier(**SMALL, augment=ImageAugmenter((8, 8), shift=2))
    twin = clone(model).set_params(n_jobs=1)
    for _ in range(2):
        model.partial_fit(X, y, classes=range(10))
        twin = pickle.loads(pickle.dumps(twin.partial_fit(X, y, classes=range(10))))
    assert_same_model(model, twin, X)
    plain = clone(model).set_params(augment=None).partial_fit(X, y, classes=range(10))
    assert plain.loss_ != model.loss_curve_[0]


def test_lbfgs_says_that_it_has_no_mini_batches(digits):
    X, y = digits[0][:100], digits[1][:100]
    model = MLPClassifier((3,), solver="lbfgs", max_iter=2, augment=ImageAugmenter((8, 8)))
    with pytest.warns(AdviceWarning, match="augment=.* is only used with a solver other than"):
        model.fit(X, y)


# ---- parameters ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "params, message",
    [
        ({"image_shape": 28}, "The 'image_shape' parameter of ImageAugmenter must be an instance"),
        ({"image_shape": (28,)}, r"image_shape must be \(height, width\) or .*; got \(28,\)"),
        ({"image_shape": (0, 4)}, "integers of at least 1"),
        ({"image_shape": (5000, 5000)}, "is too large"),
        ({"shift": -1}, "The 'shift' parameter of ImageAugmenter must be a float in the range"),
        ({"shift": (1, -1)}, r"shift must be a number or two, not negative; got \(1, -1\)"),
        ({"shift": (1, 2, 3)}, "shift must be a number or two"),
        ({"shift": ("1", 2)}, "shift must be a number or two"),
        ({"shift": np.inf}, "'shift' parameter"),
        ({"rotate": 181}, r"'rotate' parameter .* in the range \[0.0, 180.0\]. Got 181"),
        ({"scale": 1}, r"'scale' parameter"),
        ({"scale": (0.5, 1)}, r"scale must be a number or two, in \[0, 1\)"),
        ({"skew": -0.1}, "'skew' parameter"),
        ({"reflect": True}, "'reflect' parameter"),
        ({"reflect": "sideways"}, "'reflect' parameter"),
        ({"contrast": 1.5}, "'contrast' parameter"),
        ({"elastic": np.nan}, "'elastic' parameter"),
        ({"elastic": (-1, 4)}, "elastic must be a number"),
        ({"elastic": (34, 0.5)}, "elastic must be a number.*smoothness of at least 1 pixel"),
        ({"fill": "nearest"}, "'fill' parameter"),
        ({"fill": np.nan}, "'fill' parameter"),
        ({"random_state": -1}, "'random_state' parameter"),
    ],
)
def test_impossible_parameters(params, message, digits):
    augmenter = ImageAugmenter(**{"image_shape": (8, 8)} | params)
    X, y = digits[0][:50], digits[1][:50]
    fit = MLPClassifier(**SMALL, augment=augmenter).fit
    for call, *data in ((augmenter.fit, X), (augmenter.transform, X), (fit, X, y)):
        with pytest.raises(ValueError, match=message):
            call(*data)


def test_impossible_images(digits):
    X, y = digits
    others = r"X has 64 features, but ImageAugmenter is expecting 784 features .*\(28, 28\)"
    for shape, data, error, message in (
        ((28, 28), X, ValueError, others),
        ((8, 8), sparse.csr_array(X), TypeError, "dense data is required"),
        ((8, 8), np.full_like(X, np.nan), ValueError, "Input X contains NaN"),
    ):
        with pytest.raises(error, match=message):
            ImageAugmenter(shape).transform(data)
        with pytest.raises(error, match=message):
            MLPClassifier(augment=ImageAugmenter(shape)).fit(data, y)
    with pytest.raises(InvalidParameterError, match="'augment' parameter"):
        MLPClassifier(augment={"shift": 1}).fit(X, y)


def test_fill_too_large_for_the_precision(digits):
    X, y = digits[0][:50], digits[1][:50]
    augmenter = ImageAugmenter((8, 8), shift=3, fill=-1e39)
    assert augmenter.transform(X).min() == -1e39
    in_float32 = MLPClassifier(**SMALL, dtype="float32", augment=augmenter)
    for call, *data in ((augmenter.transform, X.astype(np.float32)), (in_float32.fit, X, y)):
        with pytest.raises(ValueError, match=r"fill=-1e\+39 is too large for dtype\('float32'\)"):
            call(*data)


def test_pickle_clone_and_repr():
    augmenter = ImageAugmenter((8, 8), rotate=10, elastic=(20, 3), random_state=0)
    assert repr(augmenter) == (
        "ImageAugmenter(elastic=(20, 3), image_shape=(8, 8), random_state=0, rotate=10)"
    )
    X = images(5, (8, 8))
    for copied in (pickle.loads(pickle.dumps(augmenter)), clone(augmenter)):
        np.testing.assert_array_equal(copied.transform(X), augmenter.transform(X))
    model = MLPClassifier(augment=augmenter)
    assert clone(model).augment is not augmenter and model.get_params()["augment__rotate"] == 10
