"""How objects show themselves: in a console, in a cell, in a table."""

import inspect


def call_of(instance):
    """The call that makes an instance: its arguments that are no defaults.

    Args:
        instance: Of a class with `get_config`; of another, Python's default.

    Returns:
        A str such as `"SETUpdate(interval=2)"`.
    """
    if not hasattr(instance, "get_config"):
        return object.__repr__(instance)
    config = instance.get_config()
    config = config.get("config", config)
    parameters = inspect.signature(type(instance)).parameters
    given = []
    for name, value in config.items():
        if name not in parameters:
            continue
        if hasattr(value, "shape"):  # Too long to show.
            given.append(f"{name}=<array of shape {tuple(value.shape)}>")
        elif value != parameters[name].default:
            if isinstance(value, dict):  # Of an object, made for a file.
                value = getattr(instance, name, value)
            given.append(f"{name}={value!r}")
    return f"{type(instance).__name__}({', '.join(given)})"


def elided(text, length):
    """A text no longer than that, without its middle where it is too long.

    Names are told apart by their ends: `block1/…/conv/kernel`.
    """
    if len(text) <= length:
        return text
    behind = max((length - 1) * 2 // 3, 1)
    ahead = max(length - 1 - behind, 0)
    return f"{text[:ahead]}…{text[-behind:]}"
