"""Images that change a little each time the network sees them."""

from numbers import Integral, Real

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.utils import check_array, check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions

from fastnn.backends import get_backend
from fastnn.network.regularization import Augmentation

# Simard's smoothness of elastic displacements, in pixels.
SIGMA = 4.0
# Pixels of an image with its border: places of pixels are whole numbers in float32.
MOST_PIXELS = 2**24
REFLECTIONS = {"vertical": (True, False), "horizontal": (False, True), "both": (True, True)}
_NOT_NEGATIVE = Interval(Real, 0, None, closed="left")


def check_image_shape(image_shape):
    """Height, width and channels of images, from a pair of integers or all three."""
    shape = tuple(image_shape) if np.iterable(image_shape) else ()
    right = all(isinstance(size, Integral) and size >= 1 for size in shape)
    if not right or len(shape) not in (2, 3):
        raise ValueError(
            "image_shape must be (height, width) or (height, width, channels), integers of at "
            f"least 1; got {image_shape!r}."
        )
    height, width, channels = map(int, (*shape, 1)[:3])
    return height, width, channels


class ImageAugmenter(TransformerMixin, BaseEstimator):
    """Shift, turn, scale, skew, reflect and bend images, and change their contrast, at random.

    Given to an estimator as ``augment=ImageAugmenter(...)``, it changes the images of every
    mini-batch anew, inside the compiled training loop; predictions and validation samples are as
    they are. `transform` shows what it does. The changes to choose are those after which an
    image still means the same: a 6 turned by 180 degrees, or any text reflected, does not. By
    default there are none.

    Parameters
    ----------
    image_shape : (int, int) or (int, int, int)
        Height and width of the images, or height, width and channels. A row of X is an image as
        ``image.ravel()`` gives it.

    shift : float or (float, float), default=0.0
        The most that an image is moved in each direction, in pixels; a pair has one number for
        up and down, and one for left and right.

    rotate : float, default=0.0
        The most that it is turned either way about its middle, in degrees, up to 180.

    scale : float or (float, float), default=0.0
        The largest relative change of size, below 1: 0.1 stands for 0.9 to 1.1 times the size.
        A number changes height and width alike; a pair has one number for the height and one for
        the width, which then change independently.

    skew : float, default=0.0
        The most that it is slanted, as a fraction: how many pixels sideways a point moves for each
        pixel that it is above or below the middle. 0.2 is a slant of 11 degrees.

    reflect : {False, "horizontal", "vertical", "both"}, default=False
        Whether half the images are mirrored left to right ("horizontal"), upside down
        ("vertical"), or each of these independently of the other ("both").

    contrast : float, default=0.0
        The largest relative change of contrast, up to 1: with 0.2, what a number is above or below
        the mean of its image, over all channels, is multiplied by 0.8 to 1.2. Nothing is
        clipped, so numbers may leave the range that the images have.

    elastic : float or (float, float), default=0.0
        Strength ``alpha`` and smoothness ``sigma`` of elastic deformations, in pixels, as of
        Simard et al.: each pixel is taken from a random displacement away; the field of these is
        uniform noise in [-1, 1] smoothed by a Gaussian of width ``sigma``, times ``alpha``.
        Displacements have a standard deviation of ``0.163 * alpha / sigma`` pixels in each
        direction. A single number is ``alpha``, with a ``sigma`` of 4, which suits images of
        about 28 by 28 pixels; ``sigma`` is at least 1. Simard's choice is (34, 4).

    fill : "edge" or float, default="edge"
        What lies outside an image: the nearest pixel of its edge, or a value for all.

    random_state : int, RandomState instance or None, default=None
        For `transform` alone. In training the numbers come from the estimator's ``random_state``.

    See Also
    --------
    MLPClassifier, MLPRegressor : Their parameter ``augment`` takes an `ImageAugmenter`.

    Notes
    -----
    Shift, angle, scale, skew and contrast are drawn for each image, uniformly from minus to plus
    the given number. An image is reflected, scaled, skewed, turned and shifted, in this order
    and about its middle, and bent; all in one step, by bilinear interpolation between four pixels.
    What is drawn depends on the seed, the number of the step and the place in the mini-batch
    alone, so results are the same bits for any number of threads and on every machine.

    Noise of elastic deformations is drawn on a grid ``sigma`` pixels wide, and beyond the edges,
    instead of on every pixel. The field's covariance is that of noise on every pixel to one part
    in 10,000, at the edges to one in 400.

    Numbers of an image have to be of one kind, such as brightness: scale them all alike
    (``X / 255``), not feature by feature. A step of a Pipeline would change the images of
    predictions, too: this belongs in the estimator's ``augment``.

    References
    ----------
    Simard, P. Y., Steinkraus, D., and Platt, J. C. "Best practices for convolutional neural
    networks applied to visual document analysis." Proceedings of the Seventh International
    Conference on Document Analysis and Recognition (2003): 958-963.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import ImageAugmenter
    >>> image = np.array([[0.0, 0.0, 1.0], [0.0, 2.0, 0.0], [0.0, 0.0, 3.0]])
    >>> augmenter = ImageAugmenter(image_shape=(3, 3), reflect="horizontal", random_state=0)
    >>> X = np.stack([image.ravel()] * 4)
    >>> augmenter.transform(X).reshape(4, 3, 3)[:, 0]
    array([[0., 0., 1.],
           [1., 0., 0.],
           [1., 0., 0.],
           [0., 0., 1.]])
    """

    _parameter_constraints = {
        "image_shape": [tuple, list],
        "shift": [_NOT_NEGATIVE, tuple, list],
        "rotate": [Interval(Real, 0, 180, closed="both")],
        "scale": [Interval(Real, 0, 1, closed="left"), tuple, list],
        "skew": [_NOT_NEGATIVE],
        "reflect": [Options(bool, {False}), StrOptions(set(REFLECTIONS))],
        "contrast": [Interval(Real, 0, 1, closed="both")],
        "elastic": [_NOT_NEGATIVE, tuple, list],
        "fill": [StrOptions({"edge"}), Interval(Real, None, None, closed="neither")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        image_shape,
        *,
        shift=0.0,
        rotate=0.0,
        scale=0.0,
        skew=0.0,
        reflect=False,
        contrast=0.0,
        elastic=0.0,
        fill="edge",
        random_state=None,
    ):
        self.image_shape = image_shape
        self.shift = shift
        self.rotate = rotate
        self.scale = scale
        self.skew = skew
        self.reflect = reflect
        self.contrast = contrast
        self.elastic = elastic
        self.fill = fill
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Check the parameters and X. There is nothing to learn.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Images, one a row.
        y : None
            Not used.

        Returns
        -------
        self : ImageAugmenter
        """
        self._check_X(X)
        return self

    def transform(self, X):
        """Return the images as training may see them, each changed by draws of its own.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Images, one a row.

        Returns
        -------
        X_new : ndarray of shape (n_samples, n_features)
            New images: float32 for X of float32, else float64. Without ``random_state``, others at
            each call.
        """
        self._validate_params()
        X = self._check_X(X)
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        return get_backend().augment(self._settings(), np.array(X, order="C"), seed)

    def check_images(self, X):
        """Check the parameters, and whether they are for the images of a validated X.

        Parameters
        ----------
        X : ndarray or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        settings : fastnn.network.regularization.Augmentation
            What a fit's `Regularization` takes.

        Raises
        ------
        TypeError
            If X is sparse.
        ValueError
            If a parameter has an impossible value, or X another number of features than an image.
        """
        self._validate_params()
        settings = self._settings()
        if sparse.issparse(X):
            raise TypeError(
                "Sparse data was passed for X, but dense data is required to augment images. "
                "Use '.toarray()' to convert to a dense numpy array, or set augment=None."
            )
        if X.shape[1] != np.prod(settings.shape):
            raise ValueError(
                f"X has {X.shape[1]} features, but {type(self).__name__} is expecting "
                f"{np.prod(settings.shape)} features as input, one for each number of an image "
                f"of image_shape={self.image_shape}."
            )
        return settings

    def _check_X(self, X):
        X = check_array(X, dtype=[np.float64, np.float32], estimator=self, input_name="X")
        self.check_images(X)
        return X

    def _settings(self):
        """The parameters, checked, as the kernels take them."""
        alpha, sigma = self.elastic, SIGMA
        if not isinstance(alpha, Real):
            alpha, sigma = self._pair("elastic", "not negative", lambda value: value >= 0)
        if sigma < 1:
            raise ValueError(
                "elastic must be a number, or a pair of a strength and a smoothness of at least 1 "
                f"pixel; got {self.elastic!r}."
            )
        return Augmentation(
            self._image_shape(),
            self._pair("shift", "not negative", lambda value: value >= 0),
            float(self.rotate),
            self._pair("scale", "in [0, 1)", lambda value: 0 <= value < 1),
            isinstance(self.scale, Real),
            float(self.skew),
            REFLECTIONS.get(self.reflect, (False, False)),
            float(self.contrast),
            (float(alpha), float(sigma)),
            None if isinstance(self.fill, str) else float(self.fill),
        )

    def _image_shape(self):
        height, width, channels = check_image_shape(self.image_shape)
        if (height + 3) * (width + 3) > MOST_PIXELS:
            raise ValueError(
                f"image_shape={self.image_shape!r} is too large: an image may have "
                f"{MOST_PIXELS} pixels at most."
            )
        return height, width, channels

    def _pair(self, name, words, is_allowed):
        """A parameter that is a number, already checked, or two of them."""
        value = getattr(self, name)
        pair = (value, value) if isinstance(value, Real) else tuple(value)
        right = all(isinstance(v, Real) and np.isfinite(v) and is_allowed(v) for v in pair)
        if not right or len(pair) != 2:
            raise ValueError(f"{name} must be a number or two, {words}; got {value!r}.")
        return tuple(map(float, pair))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def __sklearn_is_fitted__(self):
        return True
