"""What is for GPUs alone: the machine, its compiler, its products, and the backend."""
