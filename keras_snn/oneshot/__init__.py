"""Methods that set masks once, one paper a file."""
