"""What the methods that change masks during `fit` share."""
