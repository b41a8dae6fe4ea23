"""Processors that are not this one: what Numba is told of them, and whether it can be."""

AVX2 = {
    "NUMBA_CPU_NAME": "haswell",
    "NUMBA_CPU_FEATURES": "+sse2,+sse3,+ssse3,+sse4.1,+sse4.2,+popcnt,+avx,+avx2,+fma,+bmi,+bmi2",
}


def host_has(feature):
    import llvmlite.binding as llvm

    return llvm.get_host_cpu_features().get(feature, False)
