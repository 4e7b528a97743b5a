"""The gradient of a model's loss by its weights, on any backend."""
