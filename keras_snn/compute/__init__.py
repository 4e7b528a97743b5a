"""Layers that store and compute only the nonzeros of their kernels."""
