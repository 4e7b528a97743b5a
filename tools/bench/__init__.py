"""Ratios of what this package costs to what its peers do, by `make bench`."""
