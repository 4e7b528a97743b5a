"""The wrappers, and everything that reads or changes the masks of a model."""
