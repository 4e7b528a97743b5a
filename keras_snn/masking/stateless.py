"""Changing masks where a training loop holds the state of model and optimizer.

A stateless loop, as JAX has it, trains values outside the variables: what an
update of masks writes to the variables meanwhile is lost when the loop writes
its own back, and what it reads there is old. `stateless_update` is a function
from state to state in between.
"""

from keras import ops


def stateless_update(function, model, state, *, optimizer=None):
    """The state of a training after its masks were changed.

    Args:
        function: Takes nothing, and changes masks of `model`: calls `update` of
            a method, `set_masks`, `snip` or what you like.
        model: A Keras model with masks.
        state: A tuple of lists of arrays, as `model.stateless_call` and
            `optimizer.stateless_apply` take them: the values of
            `model.trainable_variables` and `model.non_trainable_variables`,
            which masks are among, and, with an optimizer, those of
            `optimizer.variables`.
        optimizer: The Keras optimizer of the loop. Pass it to what `function`
            calls, too.

    Returns:
        A tuple of the same structure: the new state. The variables of model
        and optimizer have these values, too.

    Raises:
        ValueError: If the state does not fit the variables, or it is called
            inside a compiled function. Nothing has changed then.

    Example:

    ```python
    trainable = [v.value for v in model.trainable_variables]
    non_trainable = [v.value for v in model.non_trainable_variables]
    optimizer.build(model.trainable_variables)
    state = trainable, non_trainable, [v.value for v in optimizer.variables]
    method = SETUpdate()
    for step, (x, y) in enumerate(batches):
        if step % 100 == 99:
            state = stateless_update(
                lambda: method.update(
                    model, step, step / steps, optimizer=optimizer
                ),
                model,
                state,
                optimizer=optimizer,
            )
        state = train_step(state, x, y)  # Compiled: a function of the state.
    ```
    """
    parts = [model.trainable_variables, model.non_trainable_variables]
    if optimizer is not None:
        parts.append(optimizer.variables)
    if not isinstance(state, (tuple, list)):
        raise ValueError(
            "Argument `state` must be a tuple of lists of arrays. "
            f"Received: a {type(state).__name__}"
        )
    expected = [[tuple(v.shape) for v in part] for part in parts]
    received = [[tuple(ops.shape(v)) for v in part] for part in state]
    if received != expected:
        raise ValueError(
            "Argument `state` must hold the values of the model's trainable "
            "and non-trainable variables and, with an `optimizer`, of its "
            f"variables: {[len(part) for part in expected]} arrays. Received: "
            f"{[len(part) for part in received]} arrays, or other shapes"
        )
    try:
        values = [[ops.convert_to_numpy(v) for v in part] for part in state]
    except Exception as error:
        raise ValueError(
            "Masks are chosen outside of compiled functions, between steps, "
            "where arrays have values. Received: a state without values"
        ) from error
    for variables, arrays in zip(parts, values, strict=True):
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array.copy())
    function()
    # Copies, since a compiled step may take over the memory of its arguments.
    return tuple([ops.copy(v.value) for v in part] for part in parts)
