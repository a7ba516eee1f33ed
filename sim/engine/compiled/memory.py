"""Rows of tables by their address: what compiled code reads and writes without counting references.

A table that is passed from function to function as an array has its references counted at every call, which costs more
than the simulation. So the tables are owned by Python (compiled/state.py), and compiled code has their addresses.
"""

from __future__ import annotations

from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, register_jitable

__all__ = ["int_at", "ints_at", "row_at", "set_int"]


def _place(builder: Any, address: Any, index: Any, size: int) -> Any:
    return builder.add(address, builder.mul(index, ir.Constant(ir.IntType(64), size)))


@intrinsic
def row_at(typingctx: Any, address: Any, index: Any, dtype: Any) -> Any:
    """Return the row of a table as a record: its address, the row's index, and the dtype of the rows."""
    record = dtype.dtype

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = _place(builder, args[0], args[1], record.size)
        return builder.inttoptr(place, context.get_value_type(record))

    return record(types.int64, types.int64, dtype), codegen


@intrinsic
def int_at(typingctx: Any, address: Any, index: Any) -> Any:
    """Return one of the integers that lie at an address."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(builder.inttoptr(_place(builder, args[0], args[1], 8), cgutils.intp_t.as_pointer()))

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def set_int(typingctx: Any, address: Any, index: Any, value: Any) -> Any:
    """Write one of the integers that lie at an address."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], builder.inttoptr(_place(builder, args[0], args[1], 8), cgutils.intp_t.as_pointer()))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@intrinsic
def _pointer(typingctx: Any, address: Any, index: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(_place(builder, args[0], args[1], 8), cgutils.intp_t.as_pointer())

    return types.CPointer(types.int64)(types.int64, types.int64), codegen


@register_jitable(forceinline=True)
def ints_at(address, index, length):
    """Return the integers from an index on as an array, which rules take as a sequence."""
    return numba.carray(_pointer(address, index), (length,))
