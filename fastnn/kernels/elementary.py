"""exp, log, log1p and tanh, as polynomials that vectorise and give one result everywhere.

The C library's versions differ between systems and are not vectorised. These are accurate
to about two units in the last place; their only steps are additions, products, divisions
and explicit fma, so every machine gives the same bits. Results that would be subnormal
are zero. Plain functions: ``real``, ``fma``, ``power_of_two``, ``exponent``, ``mantissa``, the
polynomials and the constants are bound for each precision by `bindings`, which makes what the
mathematics of activations and losses calls.
"""

from functools import cache
from math import factorial

import numpy as np

from fastnn.kernels import jit, simd

# ln 2 as the sum of a part whose products with small whole numbers are exact, and the rest.
CONSTANTS = {
    "float32": {
        "LN2_HIGH": 0.693359375,
        "LN2_LOW": -2.12194440e-4,
        "MAGIC": 1.5 * 2.0**23,
        "EXP_LOWEST": -86.5,
        "EXP_HIGHEST": 88.72283,
        "TANH_HIGHEST": 10.0,
    },
    "float64": {
        "LN2_HIGH": 0.693147180369123816490,
        "LN2_LOW": 1.90821492927058770002e-10,
        "MAGIC": 1.5 * 2.0**52,
        "EXP_LOWEST": -707.5,
        "EXP_HIGHEST": 709.782712893384,
        "TANH_HIGHEST": 20.0,
    },
}
# Highest power in the polynomials for exp(r) - 1, |r| <= ln(2) / 2, and terms of atanh(s).
EXP_DEGREE = {"float32": 7, "float64": 13}
ATANH_TERMS = {"float32": 5, "float64": 11}


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


@cache
def bindings(precision):
    """The names of mathematics for one precision: what units and losses are bound with."""
    real = np.dtype(precision).type
    names = {key: real(value) for key, value in CONSTANTS[precision].items()}
    names |= {"ONE": real(1), "TWO": real(2), "ZERO": real(0)}
    names |= {"INFINITY": real(np.inf), "NAN": real(np.nan), "LOG2_E": real(np.log2(np.e))}
    # Highest power first: (e**r - 1) / r, and 2 atanh(s) / s - 2 as a polynomial in s**2 over s**2.
    powers = range(EXP_DEGREE[precision], 0, -1)
    names["exp_polynomial"] = simd.make_polynomial(precision, [1 / factorial(i) for i in powers])
    powers = range(ATANH_TERMS[precision], 0, -1)
    coefficients = [2 / (2 * i + 1) for i in powers]
    names["atanh_polynomial"] = simd.make_polynomial(precision, coefficients)
    names |= {
        "real": real,
        "ITEMSIZE": real().itemsize,
        "eps": real(np.finfo(real).eps),
        "fma": simd.make_fma(precision),
        "power_of_two": simd.make_power_of_two(precision),
        "exponent": simd.make_exponent(precision),
        "mantissa": simd.make_mantissa(precision),
    }

    for function in (exp, expm1_positive, tanh, log, log1p):
        name = function.__name__
        names[name] = jit.bind(function, f"{name}_{precision}", **names)
    return names
