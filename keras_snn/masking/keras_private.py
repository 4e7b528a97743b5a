"""All that we use of Keras and Keras does not promise.

A new version of Keras may change any of it: each is one function here, with a
test that names what broke.
"""

import contextlib
import functools
import inspect

import keras
from keras import ops
from keras.src.backend.common.stateless_scope import get_stateless_scope


@functools.cache
def functional_class():
    """The class of graphs of layers, for which Keras has no public name."""
    symbol = keras.Input((1,), name="any")
    output = keras.layers.Identity(name="same")(symbol)
    return type(keras.Model(symbol, output, name="any"))


def bind_call(layer, signature):
    """Makes Keras bind a layer's arguments by another signature.

    That of a layer inside, say: a catch-all of its own would not do, since
    Keras tells tensors from other arguments by their names.

    Args:
        layer: A Keras layer, not yet called.
        signature: An `inspect.Signature`.
    """
    layer._call_signature = signature


def call_signature(layer):
    """The signature by which Keras binds a layer's arguments."""
    return layer._call_signature


def lay_out_as(variable, other):
    """Splits a variable over devices as another one of its shape is split.

    `keras.distribution.ModelParallel` lays variables out by their paths, and
    one that goes with a weight has another path. Nothing happens where Keras
    distributes nothing.

    Args:
        variable: A `keras.Variable`.
        other: A `keras.Variable` of the same shape.
    """
    layout = getattr(other, "_layout", None)
    if layout is None:
        return
    variable._layout = layout
    if variable._value is not None:  # Else it is made so, when it is made.
        variable.assign(variable._value)


def flattened_layers(layer):
    """A layer and every layer in it, however deep, in a fixed order.

    Raises:
        TypeError: If it is no layer: what users pass comes here.
    """
    if not isinstance(layer, keras.layers.Layer):
        raise TypeError(
            "Argument `model` must be a Keras model, whose weights are looked "
            f"up. Received: model={layer!r}"
        )
    return list(layer._flatten_layers())


def child_layers(layer):
    """The layers directly in a layer, in a fixed order."""
    return list(layer._flatten_layers(include_self=False, recursive=False))


def node_of(tensor):
    """The node of a graph of layers that a symbolic tensor comes from."""
    operation, index, _ = tensor._keras_history
    return operation._inbound_nodes[index]


class ScopeOfValues(keras.StatelessScope):
    """A scope of values that fit, which Keras else checks one by one.

    Args:
        values: A dict of tensors, each of a variable's shape and dtype, by the
            `id` of the variable.
    """

    def __init__(self, values):
        super().__init__()
        self.state_mapping.update(values)


def stateless_scope():
    """The `keras.StatelessScope` around here, the innermost; None if none."""
    return get_stateless_scope()


def own_metrics(model):
    """The metrics that are attributes of a model, but not its compiled ones."""
    return list(model._metrics)


def callbacks_of_fit():
    """The callbacks of the `fit` that runs the hook which asks; else none.

    Keras tells none of the others: they are looked up in the call.
    """
    frame = inspect.currentframe()
    while frame is not None:
        runs = frame.f_locals.get("self")
        if isinstance(runs, keras.callbacks.CallbackList):
            return list(runs.callbacks)
        frame = frame.f_back
    return []


def batches_done(optimizer):
    """The batches that an optimizer has seen, accumulated ones included."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    # Through NumPy: copies on several devices are no number to Python.
    return int(ops.convert_to_numpy(optimizer._iterations.value))


def batches_an_update(optimizer):
    """How many batches an optimizer accumulates before it updates: an int."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    return optimizer.gradient_accumulation_steps or 1


def train_function(model, step):
    """What `fit` calls for every block of steps, with another `train_step`.

    That of the model itself stays as it is. (JAX would take one compiled
    function for the other, were they of the same `train_step`.)

    Args:
        model: A compiled Keras model.
        step: What stands in for `model.train_step`, with its arguments.

    Returns:
        A function, for `model.train_function`.
    """
    own = model.train_function
    with _train_step(model, step):
        model.make_train_function(force=True)
    model.train_function, other = own, model.train_function

    def run(*args):
        with _train_step(model, step):  # Which PyTorch looks up in each step.
            return other(*args)

    return run


@contextlib.contextmanager
def _train_step(model, step):
    own = vars(model).get("train_step")
    model.train_step = step
    try:
        yield
    finally:
        del model.train_step
        if own is not None:
            model.train_step = own


@contextlib.contextmanager
def losses_of_call(model, losses):
    """What a stateless call of a model gave for losses, in `compute_loss`."""
    model._losses_override = losses
    try:
        yield
    finally:
        model._losses_override = []


def slots(optimizer, weight, *, averages=True):
    """The optimizer's variables that belong to a weight, element by element.

    Keras keeps them in lists parallel to the trainable variables: momenta,
    accumulated gradients, moving averages of the weights.

    Args:
        optimizer: A Keras optimizer, built or not, or None.
        weight: A `keras.Variable`.
        averages: Whether moving averages of the weights count.

    Yields:
        Pairs of a slot, of the weight's shape, and the value that it starts
        from: 0, but for the accumulators of Adagrad and Ftrl, by whose power
        Ftrl divides.
    """
    for part in _parts(optimizer):
        variables = getattr(part, "_trainable_variables", [])
        places = [i for i, v in enumerate(variables) if v is weight]
        own = {id(v) for v in part.variables} if places else ()
        for name, value in vars(part).items() if places else ():
            if not isinstance(value, list) or len(value) != len(variables):
                continue
            if name == "_model_variables_moving_average" and not averages:
                continue
            slot = value[places[0]]
            if id(slot) in own and slot.shape == weight.shape:
                accumulates = name == "_accumulators"
                start = part.initial_accumulator_value if accumulates else 0.0
                yield slot, start


def exclude_from_weight_decay(optimizer, variables):
    """Lets an optimizer leave variables out of its weight decay.

    As the method of that name, which forgets what it was told before, and is
    not heard by a training step that is traced already.

    Args:
        optimizer: A Keras optimizer, or None.
        variables: A list of `keras.Variable`.

    Returns:
        Whether that changes what the optimizer does.
    """
    changes = False
    for part in _parts(optimizer):
        if not part.weight_decay or not any(
            part._use_weight_decay(variable) for variable in variables
        ):
            continue
        excluded = getattr(part, "_exclude_from_weight_decay", set())
        keys = {part._var_key(variable) for variable in variables}
        part._exclude_from_weight_decay = excluded | keys
        part._exclude_from_weight_decay_cache = {}
        changes = True
    return changes


def moves_whole_kernels(optimizer):
    """Whether it is Muon, which turns the update of a kernel as a whole."""
    parts = list(_parts(optimizer)) or [optimizer]
    return any(type(part).__name__ == "Muon" for part in parts)


def _parts(optimizer):
    """The optimizer and those that it wraps, as loss scaling does."""
    if isinstance(optimizer, keras.optimizers.Optimizer):
        yield optimizer
        for value in list(vars(optimizer).values()):
            for inner in value if isinstance(value, list) else [value]:
                if isinstance(inner, keras.optimizers.Optimizer):
                    yield from _parts(inner)


def signature_of(layer):
    """The signature of a layer's own `call`, without `self`."""
    return inspect.signature(layer.call)


def link_weights_of_inner(filepath):
    """Lets a plain model load the `.weights.h5` of a wrapped one.

    Keras stores weights by their way from the model: those of the model inside
    the only wrapper get a second name, as if it had been saved by itself.

    Args:
        filepath: The file, which Keras has written.
    """
    import h5py

    with h5py.File(filepath, "r+") as file:
        wrapped = [g["layer"] for g in file["layers"].values() if "layer" in g]
        if len(wrapped) == 1:
            _link(wrapped[0], file)


def _link(source, target):
    for name, item in source.items():
        if name not in target:
            target[name] = item
        elif name != "vars":
            _link(item, target[name])
