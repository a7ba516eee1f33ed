"""Which 64 bits stand for a sticky key: a cookie, a user id, whatever keeps a user on the version that he had.

FNV-1a (Fowler, Noll, Vo; 64 bits) over UTF-8, finished by the mix of splitmix64, since keys that differ in their last
character only leave FNV's upper bits close together, and those choose the version. It stands in policy because engines
and server must hash alike, and apart from the rules: they take numbers, so a driver hashes where it reads the text.
"""

from __future__ import annotations

from policy.dice import mix

__all__ = ["FNV_BASIS", "FNV_PRIME", "sticky_bits"]

FNV_BASIS = 0xCBF29CE484222325
FNV_PRIME = 0x100000001B3


def sticky_bits(key: str, salt: int = 0) -> int:
    """Return 64 bits, the same for the same key and salt on every machine.

    `salt` is for example the serial of an experiment, 0 .. 2**64 - 1. With one salt for all of them, the same users
    would be every canary's first.
    """
    bits = FNV_BASIS
    for byte in key.encode("utf-8", "surrogatepass"):
        bits = (bits ^ byte) * FNV_PRIME & (2**64 - 1)
    return mix(bits ^ mix(salt))
