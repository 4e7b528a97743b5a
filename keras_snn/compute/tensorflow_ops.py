"""The kernels as ops of TensorFlow, by its C API for ops and kernels.

TensorFlow's library exports what `tensorflow/c/ops.h` (alpha, it says) and
`kernels.h` declare. Numba compiles what it calls to addresses: no C compiler,
no copy, and no Python while it runs. A process registers an op once, for good,
and a SavedModel that has it loads nowhere else: export what `strip` makes.

The first inputs of an op are the shapes of its results, where a first size of
-1 is that of the last input; the others are those of the kernel.
"""

import ctypes
import functools
import inspect
import threading
from pathlib import Path

import numba
import numpy as np
import tensorflow as tf
from llvmlite import binding
from numba import carray
from numba import types

from keras_snn.compute import kernels
from keras_snn.compute.topology import Topology

NAMESPACE = "KerasSnn"  # Of the ops.
# What the kernels call their arguments: others are inputs of float32.
INTS = ("geometry", *Topology._fields)
RESULTS = ("y", "dx", "dw")
POINTER = types.intp
CALLED = []  # By compiled code: LLVM must be told where they are.
_OK, _RESOURCE_EXHAUSTED = 0, 8  # tf_status.h
_FLOAT = 1  # tf_datatype.h
_NO_MEMORY = np.frombuffer(
    b"There must be memory for what a sparse layer's kernel computes with, or "
    b"it has no result. Received: none\0",
    np.uint8,
)
_LOCK = threading.Lock()
# What Python calls: the result's type, and those of the arguments.
_HANDLE, _TEXT = ctypes.c_void_p, ctypes.c_char_p
PROTOTYPES = {
    "TF_NewOpDefinitionBuilder": (_HANDLE, _TEXT),
    "TF_OpDefinitionBuilderAddInput": (None, _HANDLE, _TEXT),
    "TF_OpDefinitionBuilderAddOutput": (None, _HANDLE, _TEXT),
    "TF_OpDefinitionBuilderSetShapeInferenceFunction": (None, _HANDLE, _HANDLE),
    "TF_RegisterOpDefinition": (None, _HANDLE, _HANDLE),
    "TF_NewKernelBuilder": (_HANDLE, _TEXT, _TEXT, _HANDLE, _HANDLE, _HANDLE),
    "TF_RegisterKernelBuilder": (None, _TEXT, _HANDLE, _HANDLE),
    "TF_NewStatus": (_HANDLE,),
    "TF_GetCode": (ctypes.c_int, _HANDLE),
    "TF_Message": (_TEXT, _HANDLE),
    "TF_DeleteStatus": (None, _HANDLE),
    "TF_ShapeInferenceContextSetUnknownShape": (None, _HANDLE, _HANDLE),
}


def _declared(name, result, *arguments):
    CALLED.append(name)
    return types.ExternalFunction(name, result(*arguments))


_new_status = _declared("TF_NewStatus", POINTER)
_code = _declared("TF_GetCode", types.intc, POINTER)
_set_status = _declared(
    "TF_SetStatus", types.void, POINTER, types.intc, POINTER
)
_delete_status = _declared("TF_DeleteStatus", types.void, POINTER)
_fail = _declared("TF_OpKernelContext_Failure", types.void, POINTER, POINTER)
_inputs = _declared("TF_NumInputs", types.intc, POINTER)
_outputs = _declared("TF_NumOutputs", types.intc, POINTER)
_get_input = _declared(
    "TF_GetInput", types.void, POINTER, types.intc, POINTER, POINTER
)
_allocate_output = _declared(
    "TF_AllocateOutput", POINTER, POINTER, types.intc, types.intc, POINTER,
    types.intc, types.size_t, POINTER,
)  # fmt: skip
_dim = _declared("TF_Dim", types.int64, POINTER, types.intc)
_size = _declared("TF_TensorElementCount", types.int64, POINTER)
_data = _declared("TF_TensorData", types.voidptr, POINTER)
_delete = _declared("TF_DeleteTensor", types.void, POINTER)


@numba.njit
def _ints(tensor):
    return carray(_data(tensor), (_size(tensor),), np.int32)


@numba.njit
def _floats(tensor):
    return carray(_data(tensor), (_size(tensor),), np.float32)


@numba.njit
def _tensors(context, status):
    """The inputs of an op and, last, its results."""
    count, results = _inputs(context), _outputs(context)
    tensors = np.zeros(count + results, np.intp)
    for place in range(count):
        _get_input(context, place, tensors[place:].ctypes.data, status)
        if _code(status) != _OK:
            return tensors
    for place in range(results):
        shape = _ints(tensors[place]).astype(np.int64)
        if shape[0] < 0:
            shape[0] = _dim(tensors[count - 1], 0)
        tensors[count + place] = _allocate_output(
            context, place, _FLOAT, shape.ctypes.data, shape.size,
            4 * shape.prod(), status,
        )  # fmt: skip
        if _code(status) != _OK:
            break
    return tensors


@numba.njit
def _end(context, tensors, status):
    for tensor in tensors:
        _delete(tensor)
    if _code(status) != _OK:
        _fail(context, status)
    _delete_status(status)


def _single(_, context):
    status = _new_status()
    tensors = _tensors(context, status)
    if _code(status) == _OK:
        try:
            kernel(  # noqa: F821
                _ints(tensors[1]),
                _ints(tensors[2]),
                _ints(tensors[3]),
                _floats(tensors[4]),
                _floats(tensors[5]),
                _floats(tensors[6]),
            )
        except Exception:
            _set_status(status, _RESOURCE_EXHAUSTED, _NO_MEMORY.ctypes.data)
    _end(context, tensors, status)


def _gradients(_, context):
    status = _new_status()
    tensors = _tensors(context, status)
    if _code(status) == _OK:
        try:
            kernel(  # noqa: F821
                _ints(tensors[2]),
                _ints(tensors[3]),
                _ints(tensors[4]),
                _floats(tensors[5]),
                _floats(tensors[6]),
                _floats(tensors[7]),
                _floats(tensors[8]),
                _floats(tensors[9]),
            )
        except Exception:
            _set_status(status, _RESOURCE_EXHAUSTED, _NO_MEMORY.ctypes.data)
    _end(context, tensors, status)


def registered(name, threaded):
    """The op of a kernel, which TensorFlow knows from then on.

    Args:
        name: The kernel's.
        threaded: As for `kernels.compiled`.

    Returns:
        The op's name; None where TensorFlow's library has no such C API.
    """
    op = f"{NAMESPACE}>{name.title().replace('_', '')}"
    if threaded:
        op += "Threaded"
    with _LOCK:
        # Where they outlive this module, which may be loaded anew: TensorFlow
        # ends the process when an op is registered again.
        ops = vars(tf).setdefault("_keras_snn_ops", {})
        if op not in ops:
            library = _library()
            if library is None:
                return None
            ops[op] = _compiled(name, threaded)
            _register(library, op, name, ops[op].address)
    return op


@functools.cache
def _library():
    """TensorFlow's, of which LLVM then knows what compiled code calls."""
    for path in Path(tf.sysconfig.get_lib()).glob("libtensorflow_framework.*"):
        library = ctypes.CDLL(str(path))
        if all(hasattr(library, name) for name in (*CALLED, *PROTOTYPES)):
            for name in CALLED:
                binding.add_symbol(name, _address(getattr(library, name)))
            for name, (result, *arguments) in PROTOTYPES.items():
                function = getattr(library, name)
                function.restype, function.argtypes = result, arguments
            return library
    return None


def _address(function):
    return ctypes.cast(function, ctypes.c_void_p).value


def _compiled(name, threaded):
    """What TensorFlow calls: a function of C that holds its `address`."""
    numba.get_num_threads()  # What is read from disk needs them started.
    return kernels.kept(
        _gradients if name == "gradients" else _single,
        f"{name}_op_threaded" if threaded else f"{name}_op",
        functools.partial(numba.cfunc, types.void(POINTER, POINTER)),
        kernel=kernels.compiled(name, threaded),
    )


def _register(library, op, name, address):
    """Makes an op of a function of C that computes it."""
    parameters = list(inspect.signature(getattr(kernels, name)).parameters)
    results = [each for each in parameters if each in RESULTS]
    c_name = op.encode()
    builder = library.TF_NewOpDefinitionBuilder(c_name)
    for each in results:
        spec = f"shape_of_{each}: int32".encode()
        library.TF_OpDefinitionBuilderAddInput(builder, spec)
    for each in parameters[: -len(results)]:
        dtype = "int32" if each in INTS else "float"
        spec = f"{each}: {dtype}".encode()
        library.TF_OpDefinitionBuilderAddInput(builder, spec)
    for each in results:
        spec = f"{each}: float".encode()
        library.TF_OpDefinitionBuilderAddOutput(builder, spec)
    library.TF_OpDefinitionBuilderSetShapeInferenceFunction(
        builder, _address(library.TF_ShapeInferenceContextSetUnknownShape)
    )
    status = library.TF_NewStatus()
    library.TF_RegisterOpDefinition(builder, status)
    if library.TF_GetCode(status) == _OK:
        builder = library.TF_NewKernelBuilder(
            c_name, b"CPU", None, address, None
        )
        library.TF_RegisterKernelBuilder(c_name, builder, status)
    code, message = library.TF_GetCode(status), library.TF_Message(status)
    library.TF_DeleteStatus(status)
    if code != _OK:
        raise RuntimeError(
            "TensorFlow must take the kernels of sparse layers for ops, or it "
            f"cannot call them. Received: {message.decode()}"
        )
