"""Memory of a device, as plans see it: a shape and a type at an address, and views of it."""

import math
import weakref

import numpy as np


class _Allocation:
    """A piece of a device's memory, which goes back when nothing refers to it any longer."""

    def __init__(self, device, n_bytes):
        # Something has an address, however small it is, and all of it can be copied by words.
        self.n_bytes = max(1, -(-n_bytes // 16)) * 16
        self.address = device.allocate(self.n_bytes)
        # At the end of the process all memory goes back by itself.
        weakref.finalize(self, device.release, self.address).atexit = False


class DeviceMemory:
    """A C-ordered array of a device, of which the host knows all but the values.

    Parameters
    ----------
    shape : tuple of int
    dtype : dtype
    address : int
        Where its first element lies.
    owner : object
        What keeps the memory alive.
    """

    def __init__(self, shape, dtype, address, owner):
        self.shape, self.dtype = shape, dtype
        self.address, self.owner = address, owner

    @classmethod
    def new(cls, device, shape, dtype):
        """Memory that nobody has written to."""
        shape = (shape,) if np.isscalar(shape) else tuple(int(n) for n in shape)
        dtype = np.dtype(dtype)
        allocation = _Allocation(device, math.prod(shape) * dtype.itemsize)
        return cls(shape, dtype, allocation.address, allocation)

    @property
    def itemsize(self):
        return self.dtype.itemsize

    @property
    def size(self):
        return math.prod(self.shape)

    @property
    def nbytes(self):
        return self.size * self.itemsize

    @property
    def strides(self):
        """Bytes from an element to the next along each axis."""
        sizes = [math.prod(self.shape[axis + 1 :]) for axis in range(len(self.shape))]
        return tuple(size * self.itemsize for size in sizes)

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, which):
        """A part along the first axis: one, or those of a slice without a step."""
        if isinstance(which, slice):
            first, last, step = which.indices(len(self))
            if step != 1:
                raise IndexError("slices of a device's memory have no step")
            shape = (max(0, last - first), *self.shape[1:])
        else:
            first, shape = range(len(self))[which], self.shape[1:]
        address = self.address + first * self.strides[0]
        return DeviceMemory(shape, self.dtype, address, self.owner)
