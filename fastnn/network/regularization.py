"""The means of a training against overfitting."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Augmentation:
    """How each mini-batch's images are changed: the most of each change, drawn for each image.

    Parameters
    ----------
    shape : tuple of three ints
        Height, width and channels.
    shift : pair of float
        Pixels down or up, and to the right or left.
    rotate : float
        Degrees either way.
    scale : pair of float
        Relative changes of height and width.
    one_scale : bool
        Whether both have the change of the height.
    skew : float
        Pixels that a point moves sideways for each that it is above the middle.
    reflect : pair of bool
        Whether upside down, and left to right.
    contrast : float
        Relative change of how far pixels are from the image's mean.
    elastic : pair of float
        Simard's alpha, 0 for none, and sigma.
    fill : float or None
        The value of pixels from outside; None for those of the edge.
    """

    shape: tuple[int, int, int]
    shift: tuple[float, float] = (0.0, 0.0)
    rotate: float = 0.0
    scale: tuple[float, float] = (0.0, 0.0)
    one_scale: bool = True
    skew: float = 0.0
    reflect: tuple[bool, bool] = (False, False)
    contrast: float = 0.0
    elastic: tuple[float, float] = (0.0, 4.0)
    fill: float | None = None

    @property
    def moves(self):
        """Whether any pixel may come from elsewhere."""
        most = (*self.shift, self.rotate, *self.scale, self.skew, *self.reflect, self.elastic[0])
        return any(most)


@dataclass(frozen=True)
class Regularization:
    """The means of a training against overfitting, and against gradients that explode.

    Parameters
    ----------
    alpha : float
        Strength of the penalty on the weights, or a decoupled optimizer's decay.
    l1_ratio : float
        The part of ``alpha`` that is an L1 penalty; the rest is L2 (or the decay).
    dropout : tuple of float
        For the input and for each hidden layer, the probability that a unit is left out.
    max_grad_norm : float or None
        The norm that the gradient of all parameters is scaled down to.
    norm_momentum : float
        The weight of a mini-batch in the running mean and variance of batch normalisation.
    seed : int
        Of the masks of dropout, and of augmentation.
    augmentation : Augmentation or None
        How the mini-batches' images are changed.
    """

    alpha: float = 0.0
    l1_ratio: float = 0.0
    dropout: tuple[float, ...] = ()
    max_grad_norm: float | None = None
    norm_momentum: float = 0.1
    seed: int = 0
    augmentation: Augmentation | None = None

    @property
    def has_dropout(self):
        """Whether any unit may be left out."""
        return any(self.dropout)

    @property
    def is_random(self):
        """Whether training draws anything."""
        return self.has_dropout or self.augmentation is not None
