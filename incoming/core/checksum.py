"""Digests of a file that comes in pieces: CRC-32C always, others when somebody wants them.

CRC-32C has the Castagnoli polynomial, as in iSCSI (RFC 3720 appendix B.4). A chunk's own checksum is known
before the chunk is stored; `combine` makes the file's out of it, so that no byte is looked at twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from crc32c import crc32c

from incoming.core.hashes import CRC_BYTES, new_hash

CRC32C: Final = "crc32c"
_POLYNOMIAL: Final = 0x82F63B78
"""Castagnoli, the lowest coefficient in the highest bit."""
_ONE: Final = 1 << 31
"""The polynomial 1, written that way."""
_ALL_ONES: Final = 0xFFFFFFFF
"""A CRC begins with this, and is inverted at its end."""


def checksum(data: memoryview | bytes, before: int = 0) -> int:
    """Returns the CRC-32C of `data`, or of bytes with the checksum `before`, followed by `data`."""
    return crc32c(data, before)


def combine(first: int, second: int, second_bytes: int) -> int:
    """Returns the CRC-32C of two consecutive pieces, from those of both and the length of the second."""
    if not first:
        return second  # zeros before it change nothing, and the first chunk of each file comes here
    return _past_zeros(first, second_bytes) ^ second


def zeros_checksum(size_bytes: int) -> int:
    """Returns the CRC-32C of `size_bytes` zero bytes, without any of them."""
    return _past_zeros(_ALL_ONES, size_bytes) ^ _ALL_ONES


def _past_zeros(crc: int, size_bytes: int) -> int:
    """Returns what a checksum becomes when zeros follow: one step for each bit of their number."""
    while size_bytes:
        power = size_bytes & -size_bytes
        a, b, c, d = _table(power.bit_length() - 1)
        crc = a[crc >> 24] ^ b[crc >> 16 & 0xFF] ^ c[crc >> 8 & 0xFF] ^ d[crc & 0xFF]
        size_bytes ^= power
    return crc


def _times(a: int, b: int) -> int:
    """Returns the product of two polynomials modulo ours."""
    product = 0
    while a:
        if a & _ONE:
            product ^= b
        a = a << 1 & 0xFFFFFFFF
        b = b >> 1 ^ (_POLYNOMIAL if b & 1 else 0)
    return product


def _squares(count: int) -> list[int]:
    """Returns x^8, and then each the square of the one before: x to the power of 8 times 1, 2, 4, ..."""
    squares = [1 << 23]
    while len(squares) < count:
        squares.append(_times(squares[-1], squares[-1]))
    return squares


_SQUARES: Final = _squares(64)


@lru_cache(maxsize=len(_SQUARES))
def _table(exponent: int) -> tuple[list[int], ...]:
    """Returns what each value of each byte of a checksum, the highest first, becomes past 2^exponent bytes.

    A table is made when a length first needs it, in a tenth of a millisecond, and has about 40 kB.
    """
    factors = [_SQUARES[exponent]]  # times 1, x, x^2, ...: what the highest bit becomes, the next one, ...
    while len(factors) < 32:
        factors.append(factors[-1] >> 1 ^ (_POLYNOMIAL if factors[-1] & 1 else 0))
    return tuple(_sums(factors[at : at + 8]) for at in range(0, 32, 8))


def _sums(of_bits: Sequence[int]) -> list[int]:
    """Returns for each number the sum of the values of its bits. `of_bits`: the highest bit comes first."""
    sums = [0]
    for of_bit in reversed(of_bits):
        sums += [one ^ of_bit for one in sums]
    return sums


class RunningDigest:
    """The digests of the first `position_bytes` of a file."""

    def __init__(self, hashes: Iterable[str] = ()) -> None:
        """`hashes`: the names in `core.hashes` of those that are wanted besides CRC-32C."""
        self.position_bytes = 0
        self.crc32c = 0
        self._hashes = {name: new_hash(name) for name in hashes if name != CRC32C}

    def copy(self) -> RunningDigest:
        """Returns the digests of the same bytes, to continue apart from these."""
        other = RunningDigest()
        other.position_bytes, other.crc32c = self.position_bytes, self.crc32c
        other._hashes = {name: one.copy() for name, one in self._hashes.items()}
        return other

    @property
    def sha256(self) -> str:
        """The SHA-256 in hexadecimal digits; empty when nobody wants it."""
        return self.value("sha256").hex() if self.has("sha256") else ""

    @property
    def is_fast(self) -> bool:
        """Whether nothing but CRC-32C is computed, at about the speed of memory."""
        return not self._hashes

    def has(self, *hashes: str) -> bool:
        """Returns whether all of these hashes are computed."""
        return {CRC32C, *self._hashes} >= {*hashes}

    def value(self, hash_name: str) -> bytes:
        """Returns the value of a hash that is computed."""
        return self.crc32c.to_bytes(CRC_BYTES) if hash_name == CRC32C else self._hashes[hash_name].digest()

    def begin_at(self, position_bytes: int, crc: int) -> None:
        """The first bytes have this CRC-32C, which is all that is computed. To be called first."""
        self.position_bytes, self.crc32c = position_bytes, crc

    def add(self, data: memoryview, crc: int | None = None) -> None:
        """Adds `data`, whose own CRC-32C is `crc` if that is known already."""
        if crc is None:
            self.crc32c = checksum(data, self.crc32c)
        else:
            self.crc32c = combine(self.crc32c, crc, len(data))
        for one in self._hashes.values():
            one.update(data)
        self.position_bytes += len(data)
