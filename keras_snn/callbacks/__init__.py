"""Methods that change masks during `fit`, one paper a file."""
