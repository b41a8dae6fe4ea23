"""What is for the CPU alone: its compiler, memory, threads, tiles and cache, and the backend."""
