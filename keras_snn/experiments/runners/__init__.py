"""Ways to run the trials of a grid: one after the other, or on Ray."""
