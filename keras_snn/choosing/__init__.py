"""Masks by score and at random: what methods share."""
