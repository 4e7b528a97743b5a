"""The kernels as typed handlers of XLA's foreign function interface.

A handler takes a pointer to a call frame, in the layout of `c_api.h`, which
jaxlib brings along, version 0.1 of the interface or later of major version 0.
XLA asks each handler first, when it is registered, for the version that it was
written for, and refuses what does not fit.

Numba compiles them to addresses: no C compiler, no copy, and no Python while
they run, so they work inside `jax.jit`.
"""

import ctypes
import functools

import numba
import numpy as np
from numba import carray
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from keras_snn.compute import kernels

VERSION = (0, 1)  # Of the interface, as far as it is used here.


class Buffer(ctypes.Structure):
    """XLA_FFI_Buffer: a tensor."""

    _fields_ = [
        ("struct_size", ctypes.c_size_t),
        ("extension_start", ctypes.c_void_p),
        ("dtype", ctypes.c_int),
        ("data", ctypes.c_void_p),
        ("rank", ctypes.c_int64),
        ("dims", ctypes.c_void_p),
    ]


class Arguments(ctypes.Structure):
    """XLA_FFI_Args, and XLA_FFI_Rets alike."""

    _fields_ = [
        ("struct_size", ctypes.c_size_t),
        ("extension_start", ctypes.c_void_p),
        ("size", ctypes.c_int64),
        ("types", ctypes.c_void_p),
        ("args", ctypes.c_void_p),
    ]


class CallFrame(ctypes.Structure):
    """XLA_FFI_CallFrame, as far as it is read."""

    _fields_ = [
        ("struct_size", ctypes.c_size_t),
        ("extension_start", ctypes.c_void_p),
        ("api", ctypes.c_void_p),
        ("ctx", ctypes.c_void_p),
        ("stage", ctypes.c_int),
        ("args", Arguments),
        ("rets", Arguments),
    ]


class Extension(ctypes.Structure):
    """XLA_FFI_Metadata_Extension: of type 1, it asks for the version."""

    _fields_ = [
        ("struct_size", ctypes.c_size_t),
        ("type", ctypes.c_int),
        ("next", ctypes.c_void_p),
        ("metadata", ctypes.c_void_p),
    ]


class Metadata(ctypes.Structure):
    """XLA_FFI_Metadata, as far as it is written."""

    _fields_ = [
        ("struct_size", ctypes.c_size_t),
        ("version_struct_size", ctypes.c_size_t),
        ("version_extension_start", ctypes.c_void_p),
        ("major_version", ctypes.c_int),
        ("minor_version", ctypes.c_int),
    ]


_EXTENSION = CallFrame.extension_start.offset
_ARGS = CallFrame.args.offset + Arguments.args.offset
_RETS = CallFrame.rets.offset + Arguments.args.offset
_TYPE = Extension.type.offset
_METADATA = Extension.metadata.offset
_MAJOR = Metadata.major_version.offset
_MINOR = Metadata.minor_version.offset
_DATA = Buffer.data.offset
_RANK = Buffer.rank.offset
_DIMS = Buffer.dims.offset
_OF_VERSION = 1  # XLA_FFI_Extension_Metadata


@intrinsic
def _pointer(context, address):
    def generate(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(types.intp), generate


@numba.njit
def _word(address):
    """The 64 bits at an address."""
    return carray(_pointer(address), (1,), np.int64)[0]


@numba.njit
def _int(address):
    return carray(_pointer(address), (1,), np.int32)


@numba.njit
def _answered(frame):
    """Whether XLA asked for the version of the interface, and was told it."""
    extension = _word(frame + _EXTENSION)
    if extension == 0 or _int(extension + _TYPE)[0] != _OF_VERSION:
        return False
    metadata = _word(extension + _METADATA)
    _int(metadata + _MAJOR)[0] = VERSION[0]
    _int(metadata + _MINOR)[0] = VERSION[1]
    return True


@numba.njit
def _buffer(frame, at, place):
    """The address and size of a tensor among the arguments or results."""
    buffer = _word(_word(frame + at) + 8 * place)
    size = 1
    for axis in range(_word(buffer + _RANK)):
        size *= _word(_word(buffer + _DIMS) + 8 * axis)
    return _word(buffer + _DATA), size


@numba.njit
def _ints(frame, place):
    address, size = _buffer(frame, _ARGS, place)
    return carray(_pointer(address), (size,), np.int32)


@numba.njit
def _floats(frame, place):
    address, size = _buffer(frame, _ARGS, place)
    return carray(_pointer(address), (size,), np.float32)


@numba.njit
def _result(frame, place):
    address, size = _buffer(frame, _RETS, place)
    return carray(_pointer(address), (size,), np.float32)


def _single(frame):
    if not _answered(frame):
        kernel(  # noqa: F821
            _ints(frame, 0),
            _ints(frame, 1),
            _ints(frame, 2),
            _floats(frame, 3),
            _floats(frame, 4),
            _result(frame, 0),
        )
    return 0  # No error.


def _gradients(frame):
    if not _answered(frame):
        kernel(  # noqa: F821
            _ints(frame, 0),
            _ints(frame, 1),
            _ints(frame, 2),
            _floats(frame, 3),
            _floats(frame, 4),
            _floats(frame, 5),
            _result(frame, 0),
            _result(frame, 1),
        )
    return 0


@functools.cache
def compiled(name, threaded):
    """The handler of a kernel, a function of C that holds its `address`.

    Args:
        name: The kernel's.
        threaded: As for `kernels.compiled`.
    """
    numba.get_num_threads()  # What is read from disk needs them started.
    return kernels.kept(
        _gradients if name == "gradients" else _single,
        f"{name}_threaded" if threaded else name,
        functools.partial(numba.cfunc, types.intp(types.intp)),
        kernel=kernels.compiled(name, threaded),
    )
