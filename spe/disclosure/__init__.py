"""Automatic checks of outputs: bytes in, findings out. Knows the domain and its own readers, nothing else."""
