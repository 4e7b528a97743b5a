"""Models whose calls of layers can be followed, and these calls in order."""

from keras_snn.masking.keras_private import node_of


def check_graph(model):
    """Raises a `ValueError` unless the model is Functional or Sequential."""
    if not is_graph(model):
        raise ValueError(
            "Channels can be removed from a Functional or Sequential model "
            "only, since in another it is not known which layers follow "
            f"which. Received: {model.name!r}, a {type(model).__name__}"
        )


def is_graph(model):
    """Whether a model calls its layers as its symbolic tensors tell."""
    try:
        symbolic = model.inputs and model.outputs
    except (AttributeError, ValueError):
        return False
    # A subclass may have tensors, and a `call` of its own besides.
    return symbolic and type(model).call.__module__.startswith("keras.")


def calls(model):
    """The calls of operations that lead to a model's outputs, in order."""
    inputs = {id(tensor) for tensor in model.inputs}
    ordered, seen = [], set()
    ahead = [(node_of(t), False) for t in model.outputs if id(t) not in inputs]
    while ahead:
        node, ready = ahead.pop()
        if ready:
            ordered.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            ahead.append((node, True))
            ahead += [
                (node_of(tensor), False)
                for tensor in node.input_tensors
                if id(tensor) not in inputs
            ]
    return ordered
