"""exp, log, log1p, tanh and the normal distribution: one result everywhere, and they vectorise.

The C library's versions differ between systems and are not vectorised. These are polynomials,
accurate to about two units in the last place, the normal distribution to 3e-15; their only steps
are additions, products, divisions and explicit fma, so every machine gives the same bits. Results
that would be subnormal are zero. Plain functions: ``real``, ``fma``, ``power_of_two``,
``exponent``, ``mantissa``, the polynomials and the constants are bound for each precision by
`bindings`, which makes what the mathematics of activations and losses calls, by the compiler of a
device.
"""

from functools import cache
from math import factorial

import numpy as np

from fastnn.kernels import floats

# ln 2 as the sum of a part whose products with small whole numbers are exact, and the rest.
CONSTANTS = {
    "float32": {
        "LN2_HIGH": 0.693359375,
        "LN2_LOW": -2.12194440e-4,
        "MAGIC": 1.5 * 2.0**23,
        "EXP_LOWEST": -86.5,
        "EXP_HIGHEST": 88.72283,
        "TANH_HIGHEST": 10.0,
        "EXPM1_HIGHEST": 20.0,
    },
    "float64": {
        "LN2_HIGH": 0.693147180369123816490,
        "LN2_LOW": 1.90821492927058770002e-10,
        "MAGIC": 1.5 * 2.0**52,
        "EXP_LOWEST": -707.5,
        "EXP_HIGHEST": 709.782712893384,
        "TANH_HIGHEST": 20.0,
        "EXPM1_HIGHEST": 40.0,
    },
}
# Highest power in the polynomials for exp(r) - 1, |r| <= ln(2) / 2, and terms of atanh(s).
EXP_DEGREE = {"float32": 7, "float64": 13}
ATANH_TERMS = {"float32": 5, "float64": 11}
# log(erfcx(x) / t), with t = 2 / (2 + x) and erfcx(x) = exp(x**2) erfc(x), as a polynomial in
# 2 t - 1 for x >= 0, highest power first: the form of Press et al., "Numerical recipes", 6.2.2,
# fitted anew at Chebyshev's nodes.
ERFC_COEFFICIENTS = {
    "float32": (
        1.3371503047601714e-05, -8.728381025268841e-05, -3.2113770988913306e-05,
        0.0005737663720959601, -0.0001827821432075181, -0.002288765238680089, 0.0017706661194183296,
        0.00880882536942756, -0.009874534918486649, -0.04689364055997312, 0.04734341752108596,
        0.6726431547745444, -0.6717940851517216,
    ),
    "float64": (
        2.7776783807689218e-08, -4.216103281182135e-08, -1.8700198294511162e-07,
        2.8361316105389794e-07, 5.435112031518895e-07, -8.188194239846079e-07,
        -8.836696102475511e-07, 1.1991824227998188e-06, 1.0240922095211235e-06,
        -4.1568261427805024e-07, -2.198930164505393e-06, -1.6402114993281896e-06,
        9.056341728607159e-06, -5.77629465347641e-07, -3.0367061684194186e-05,
        3.201829751460592e-05, 7.144404311651209e-05, -0.0001743747227947589, -9.37414757164603e-05,
        0.0006736913809609078, -0.0001462463244611809, -0.002345813894612218, 0.001758933537000241,
        0.008824938645936715, -0.009872689365935505, -0.04689561023391408, 0.04734330684188361,
        0.6726432239776825, -0.6717940840566926,
    ),
}  # fmt: skip


def exp(x):
    inside = EXP_LOWEST if x < EXP_LOWEST else x
    inside = EXP_HIGHEST if inside > EXP_HIGHEST else inside
    shifted = fma(inside, LOG2_E, MAGIC)
    n = shifted - MAGIC
    r = fma(-n, LN2_LOW, fma(-n, LN2_HIGH, inside))
    # 2**(n - 1), doubled at the end: 2**128 is not a float32, e**88.7 is.
    value = fma(r, exp_polynomial(r), ONE) * power_of_two(shifted - ONE) * TWO
    value = ZERO if x < EXP_LOWEST else value
    return INFINITY if x > EXP_HIGHEST else value


def expm1_positive(x):
    # For 0 <= x: 2**n (e**r - 1) + (2**n - 1).
    shifted = fma(x, LOG2_E, MAGIC)
    n = shifted - MAGIC
    r = fma(-n, LN2_LOW, fma(-n, LN2_HIGH, x))
    scale = power_of_two(shifted)
    return fma(scale, r * exp_polynomial(r), scale - ONE)


def expm1_negative(x):
    # exp(x) - 1 for x <= 0, -e / (e + 1) with e = exp(-x) - 1; 0 for larger x.
    size = ZERO if x > ZERO else -x
    size = EXPM1_HIGHEST if size > EXPM1_HIGHEST else size
    e = expm1_positive(size)
    return -e / (e + ONE)


def tanh(x):
    size = -x if x < ZERO else x
    size = TANH_HIGHEST if size > TANH_HIGHEST else size
    e = expm1_positive(size + size)
    value = e / (e + TWO)
    return -value if x < ZERO else value


def log(x):
    e = exponent(x)
    m = mantissa(x)
    s = (m - ONE) / (m + ONE)
    # log m = 2 atanh(s), with the leading term s + s = (m - 1) - s (m - 1).
    f = m - ONE
    square = s * s
    correction = s * (f - square * atanh_polynomial(square))
    value = fma(e, LN2_HIGH, f - (correction - e * LN2_LOW))
    value = -INFINITY if x == ZERO else value
    value = NAN if x < ZERO else value
    return x if x == INFINITY or x != x else value


def log1p(x):
    # log(u) for u = 1 + x as rounded, corrected by what the rounding lost.
    u = ONE + x
    value = log(u) + (x - (u - ONE)) / (u if u > ZERO else ONE)
    return x if u == INFINITY else value


def normal_cdf(x):
    # erfc(-x / sqrt(2)) / 2, from erfc at a positive place.
    size = (x if x > ZERO else -x) * ROOT_HALF
    t = TWO / (TWO + size)
    tail = HALF * t * exp(erfc_polynomial(t + t - ONE) - size * size)
    return ONE - tail if x > ZERO else tail


# FUNCTIONS are those that mathematics may call; each may call those before it.
FUNCTIONS = (exp, expm1_positive, expm1_negative, tanh, log, log1p, normal_cdf)


@cache
def bindings(compiler, precision):
    """The names of mathematics for one precision: what units and losses are bound with."""
    real = np.dtype(precision).type
    names = {key: real(value) for key, value in CONSTANTS[precision].items()}
    names |= {"ONE": real(1), "TWO": real(2), "ZERO": real(0), "HALF": real(0.5)}
    names["ROOT_HALF"] = real(np.sqrt(0.5))
    names |= {"INFINITY": real(np.inf), "NAN": real(np.nan), "LOG2_E": real(np.log2(np.e))}
    # Highest power first: (e**r - 1) / r, and 2 atanh(s) / s - 2 as a polynomial in s**2 over s**2.
    powers = range(EXP_DEGREE[precision], 0, -1)
    names["exp_polynomial"] = floats.make_polynomial(precision, [1 / factorial(i) for i in powers])
    powers = range(ATANH_TERMS[precision], 0, -1)
    coefficients = [2 / (2 * i + 1) for i in powers]
    names["atanh_polynomial"] = floats.make_polynomial(precision, coefficients)
    names["erfc_polynomial"] = floats.make_polynomial(precision, ERFC_COEFFICIENTS[precision])
    names |= {
        "real": real,
        "ITEMSIZE": real().itemsize,
        "eps": real(np.finfo(real).eps),
        "fma": floats.make_fma(precision),
        "power_of_two": floats.make_power_of_two(precision),
        "exponent": floats.make_exponent(precision),
        "mantissa": floats.make_mantissa(precision),
    }

    for function in FUNCTIONS:
        name = function.__name__
        names[name] = compiler.bind(function, f"{name}_{precision}", **names)
    return names
