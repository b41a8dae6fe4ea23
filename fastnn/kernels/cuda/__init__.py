"""The part of the kernels for GPUs alone: machine, compiler, products, and backend."""
