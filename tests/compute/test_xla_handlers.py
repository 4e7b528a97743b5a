"""The kernels as XLA's handlers.

What we take to be the layout of XLA's structs is that of its header, and of the
kernels none runs but those that are asked for.
"""

import ctypes
import re
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from keras_snn.compute import xla_handlers
from keras_snn.compute.sparse_dense import SparseDense

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="XLA's header is in jaxlib"
)
SIZES = {
    "size_t": 8,
    "int64_t": 8,
    "int": 4,
    "XLA_FFI_DataType": 4,
    "XLA_FFI_ExecutionStage": 4,
    "XLA_FFI_Extension_Type": 4,
    "XLA_FFI_Args": ctypes.sizeof(xla_handlers.Arguments),
    "XLA_FFI_Rets": ctypes.sizeof(xla_handlers.Arguments),
    "XLA_FFI_Extension_Base": 24,
    "XLA_FFI_Api_Version": 24,
}


def header():
    import jax

    path = Path(jax.ffi.include_dir(), "xla", "ffi", "api", "c_api.h")
    return re.sub(r"//.*", "", path.read_text())


def offsets(name):
    """Where the fields of a struct are, as a C compiler lays them out."""
    body = re.search(rf"struct {name} {{(.*?)\n}}", header(), re.DOTALL)[1]
    found, at = {}, 0
    for kind, pointers, field in re.findall(
        r"(?:const |struct )*(\w+)\s*(\**)\s*(\w+);", body
    ):
        size = 8 if pointers else SIZES.get(kind)
        if size is None:
            break
        align = min(size, 8)
        at = -(-at // align) * align
        found[field] = at
        at += size
    return found


@pytest.mark.parametrize(
    ("struct", "name"),
    [
        (xla_handlers.Buffer, "XLA_FFI_Buffer"),
        (xla_handlers.Arguments, "XLA_FFI_Args"),
        (xla_handlers.CallFrame, "XLA_FFI_CallFrame"),
    ],
)
def test_fields_are_where_the_header_has_them(struct, name):
    there = offsets(name)
    for field, *_ in struct._fields_:
        assert getattr(struct, field).offset == there[field], field


def test_results_lie_as_arguments_do():
    assert list(offsets("XLA_FFI_Rets").values()) == list(
        offsets("XLA_FFI_Args").values()
    )


def test_version_is_where_the_header_has_it():
    extension, metadata = xla_handlers.Extension, xla_handlers.Metadata
    assert offsets("XLA_FFI_Extension_Base") == {
        field: getattr(extension, field).offset
        for field in ("struct_size", "type", "next")
    }
    at = offsets("XLA_FFI_Metadata_Extension")["metadata"]
    assert at == extension.metadata.offset
    at = offsets("XLA_FFI_Metadata")["api_version"]
    version = offsets("XLA_FFI_Api_Version")
    assert at + version["major_version"] == metadata.major_version.offset
    assert at + version["minor_version"] == metadata.minor_version.offset


def test_major_version_is_ours():
    major = re.search(r"#define XLA_FFI_API_MAJOR (\d+)", header())[1]
    assert int(major) == xla_handlers.VERSION[0]


def test_one_kernel_gives_the_gradients_that_are_asked_for():
    import jax

    layer = SparseDense(16, 0.8)
    layer.build((None, 24))
    state = [v.value for v in layer.non_trainable_variables]
    tensors = layer.values.value, keras.random.normal((8, 24), seed=0)

    @jax.jit
    def loss(values, x):
        weights = [values, layer.bias.value]
        return ops.sum(layer.stateless_call(weights, state, x)[0] ** 2)

    first, *others = (
        ((0, 1), "gradients"),
        ((0,), "weight_gradient"),
        ((1,), "input_gradient"),
    )
    expected = jax.grad(loss, (0, 1))(*tensors)
    # JAX keeps what it traced of the loss from one to the next.
    for places, kernel in (first, *others, first):
        gradient = jax.jit(jax.grad(loss, places)).lower(*tensors).compile()
        targets = re.findall(r'"keras_snn_(\w+)_0"', gradient.as_text())
        assert sorted(targets) == sorted(["forward", kernel])
        for place, got in zip(places, gradient(*tensors), strict=True):
            np.testing.assert_allclose(got, expected[place], rtol=1e-4)
