"""Sparse neural networks in Keras 3."""
