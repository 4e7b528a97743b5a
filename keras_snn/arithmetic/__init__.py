"""Which weights and how many of them, in NumPy alone."""
