"""Sizes as people read them."""

from __future__ import annotations

import pytest

from incoming.core.units import readable_size


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0 B"), (1, "1 B"), (999, "999 B"), (1000, "1.00 kB"), (1549, "1.55 kB"), (9_994, "9.99 kB"),
     (9_996, "10.0 kB"), (99_960, "100 kB"), (999_600, "1.00 MB"), (999_499, "999 kB"), (5 << 30, "5.37 GB"),
     (10**15, "1.00 PB"), (1.5e15, "1.50 PB"), (1e19, "10000 PB")],
)  # fmt: skip
def test_sizes_have_three_digits(size_bytes: float, text: str) -> None:
    assert readable_size(size_bytes) == text
