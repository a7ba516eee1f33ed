"""Tables as compiled code sees them."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

__all__ = ["address_of"]


def address_of(table: npt.NDArray[Any]) -> int:
    """Return where a table lies; it must outlive the use."""
    return table.ctypes.data
