"""The kernels' part for the CPU alone: compiler, memory, threads, tiles, cache and the backend."""
