"""Mixed precision is for training: files are of float32."""

import contextlib

from keras_snn.masking.keras_private import flattened_layers

MIXED = ("mixed_bfloat16", "mixed_float16")


@contextlib.contextmanager
def in_float32(model):
    """A context in which layers of mixed precision compute in float32.

    Their weights are float32 all the time. Runtimes on CPUs have few
    operations of less, and XNNPACK none that are sparse.
    """
    policies = [
        (layer, layer.dtype_policy) for layer in flattened_layers(model)
    ]
    mixed = [(layer, p) for layer, p in policies if p.name in MIXED]
    for layer, _ in mixed:
        layer.dtype_policy = "float32"
    try:
        yield
    finally:
        for layer, policy in mixed:
            layer.dtype_policy = policy
