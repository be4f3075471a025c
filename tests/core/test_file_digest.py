"""The digest of a whole file as a ticket keeps it."""

from __future__ import annotations

import pytest

from incoming.core.file_digest import FileDigest, first, read
from incoming.core.hashes import HASHES, SIZES_BYTES


@pytest.mark.parametrize("name", HASHES)
def test_a_digest_is_kept_as_a_text(name: str) -> None:
    for value in (None, bytes(SIZES_BYTES[name]), b"\xff" * SIZES_BYTES[name]):
        assert read(FileDigest(name, value).text) == FileDigest(name, value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256",
        ":",
        "md4:",
        "sha256:0f",
        "sha256:" + "0F" * 32,
        "crc32c:0000000",
        "crc32c:00000000 ",
        "x:y",
    ],
)
def test_any_other_text_is_not_a_digest(text: str) -> None:
    assert read(text) is None


@pytest.mark.parametrize(
    ("known", "claimed", "counts"),
    [
        ("", "", ""),
        ("", "sha256:", "sha256:"),
        ("", f"crc32c:{'0a' * 4}", f"crc32c:{'0a' * 4}"),
        ("", "sha256:0a", ""),
        ("sha256:", "", "sha256:"),
        ("sha256:", "sha512:", "sha256:"),
        ("sha256:", f"crc32c:{'0a' * 4}", f"crc32c:{'0a' * 4}"),
        (f"crc32c:{'0a' * 4}", f"crc32c:{'0b' * 4}", f"crc32c:{'0a' * 4}"),
        (f"crc32c:{'0a' * 4}", "sha256:", f"crc32c:{'0a' * 4}"),
    ],
)
def test_the_first_digest_with_a_value_counts(known: str, claimed: str, counts: str) -> None:
    assert first(known, claimed) == counts
