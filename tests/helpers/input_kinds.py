"""Arrays and sparse matrices that hold the same numbers in other ways."""

import numpy as np
from hypothesis import strategies as st
from scipy import sparse


def in_memory_map(X, folder):
    """X in a file, mapped read-only."""
    path = folder / "X.dat"
    X.tofile(path)
    return np.memmap(path, dtype=X.dtype, mode="r", shape=X.shape)


def read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


def unaligned(X):
    """X at an odd address."""
    buffer = np.frombuffer(b"\0" + X.tobytes(), np.uint8)
    return buffer[1:].view(X.dtype).reshape(X.shape)


LAYOUTS = {
    "F": np.asfortranarray,
    "every second row": lambda X: np.repeat(X, 2, axis=0)[::2],
    "every third column": lambda X: np.repeat(X, 3, axis=1)[:, ::3],
    "rows reversed": lambda X: X[::-1].copy()[::-1],
    "columns reversed": lambda X: X[:, ::-1].copy()[:, ::-1],
    "all reversed, F": lambda X: np.asfortranarray(X[::-1, ::-1])[::-1, ::-1],
    "part of a larger array": lambda X: np.pad(X, 3)[3:-3, 3:-3],
    "read-only": read_only,
    "big-endian": lambda X: X.astype(X.dtype.newbyteorder(">")),
    "unaligned": unaligned,
    "matrix of objects": lambda X: X.astype(object),
    "list": lambda X: X.tolist(),
    "field of a structured array": lambda X: np.rec.fromarrays([X, X], names="a,b")["a"],
}


def unsorted_csr(X):
    """CSR whose column numbers go down in every row."""
    X = sparse.csr_array(X)
    for start, stop in zip(X.indptr[:-1], X.indptr[1:], strict=True):
        X.indices[start:stop] = X.indices[start:stop][::-1].copy()
        X.data[start:stop] = X.data[start:stop][::-1].copy()
    X.has_sorted_indices = False
    return X


def with_duplicates(X):
    """CSR that holds every number as a sum of two."""
    X = sparse.csr_array(X)
    return sparse.csr_array(
        (np.repeat(X.data / 2, 2), np.repeat(X.indices, 2), 2 * X.indptr), shape=X.shape
    )


def with_explicit_zeros(X):
    """CSR that stores zeros, too."""
    rows, columns = np.indices(X.shape)
    return sparse.csr_array((X.ravel(), (rows.ravel(), columns.ravel())), shape=X.shape)


def with_int64_indices(X, kind=sparse.csr_array):
    X = kind(X)
    X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    return X


def with_parts(X, **parts):
    """X as CSR with some of its arrays replaced, past the checks of its constructor."""
    X = sparse.csr_array(X)
    for name, array in parts.items():
        setattr(X, name, array)
    return X


def spread(array, step):
    """The array as every other element of a larger one, from its end where step is negative."""
    wide = np.full(2 * len(array), -1, dtype=array.dtype)
    wide[::2] = array[:: 1 if step > 0 else -1]
    return wide[::2] if step > 0 else wide[-2::-2]


def with_strided_parts(X, step=2):
    X = sparse.csr_array(X)
    return with_parts(X, data=spread(X.data, step), indices=spread(X.indices, step))


def with_mixed_indices(X, indices, indptr):
    X = sparse.csr_array(X)
    return with_parts(X, indices=X.indices.astype(indices), indptr=X.indptr.astype(indptr))


SPARSE = {
    "csr_matrix": sparse.csr_matrix,
    "csc_array": sparse.csc_array,
    "csc_matrix": sparse.csc_matrix,
    "coo_array": sparse.coo_array,
    "lil_array": sparse.lil_array,
    "int64 indices": with_int64_indices,
    "CSC with int64 indices": lambda X: with_int64_indices(X, sparse.csc_array),
    "unsorted": unsorted_csr,
    "duplicates": with_duplicates,
    "explicit zeros": with_explicit_zeros,
    "strided parts": with_strided_parts,
    "reversed parts": lambda X: with_strided_parts(X, -2),
    "int32 indices, int64 indptr": lambda X: with_mixed_indices(X, "i4", "i8"),
    "int64 indices, int32 indptr": lambda X: with_mixed_indices(X, "i8", "i4"),
}


@st.composite
def views(draw, shape, dtypes):
    """A view of the given shape with any strides, order, offset and dtype; whole numbers."""
    steps = [draw(st.sampled_from([-3, -2, -1, 1, 2, 5])) for _ in shape]
    margins = [draw(st.integers(0, 3)) for _ in shape]
    dtype = draw(st.sampled_from(dtypes))
    sizes = [n * abs(step) + 2 * m for n, step, m in zip(shape, steps, margins, strict=True)]
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    base = rng.integers(0, 9, sizes).astype(dtype, order=draw(st.sampled_from("CF")))
    window = tuple(slice(m, size - m) for m, size in zip(margins, sizes, strict=True))
    view = base[window][tuple(slice(None, None, step) for step in steps)]
    assert view.shape == tuple(shape)
    return view
