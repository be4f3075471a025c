"""The keys of objects: which are used, and which are allowed."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from incoming.core.errors import BadParameter, BadSetting

MAX_KEY_BYTES: Final = 1024
"""S3's limit for the UTF-8 of a key."""
MAX_PREFIX_BYTES: Final = MAX_KEY_BYTES - 124
"""The server's own keys have up to this many more bytes: the longest is that of a remainder."""
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_NOT_IN_KEYS: Final = {"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"}
"""Categories of characters that XML can't hold, or that nobody sees."""
REMAINDERS: Final = "rest/"
"""Where the remainders of unfinished uploads are, below the prefix. A lifecycle rule needs one prefix."""

_KEPT_THERE: Final = "the server keeps unfinished uploads there, and what is old is deleted"


@dataclass(frozen=True, slots=True)
class BucketAddress:
    """A bucket, and the prefix of everything that the server itself names there."""

    bucket: str
    prefix: str = ""
    """Empty, or it ends with a slash."""

    def object_key(self, ticket_id: str) -> str:
        """Returns the key of an upload's object, if its app has named no other."""
        return f"{self.prefix}{ticket_id}"

    def remainders(self, ticket_id: str) -> str:
        """Returns the prefix of the remainders of an upload."""
        return f"{self._all_remainders}{ticket_id}/"

    def is_for_remainders(self, prefix: str) -> bool:
        """Tells whether all keys below a prefix are where the remainders are."""
        return prefix.startswith(self._all_remainders)

    def may_hit_remainders(self, key: str) -> bool:
        """Tells whether an object with this key, or in a folder with it, can be among the remainders."""
        folder = f"{key}/"
        return self.is_for_remainders(folder) or self._all_remainders.startswith(folder)

    @property
    def _all_remainders(self) -> str:
        return f"{self.prefix}{REMAINDERS}"


def parse_address(text: str, setting: str = "storage") -> BucketAddress:
    """Returns the address that `s3://BUCKET` or `s3://BUCKET/PREFIX` means. Raises BadSetting."""
    parts = urlsplit(text)
    if parts.scheme != "s3" or parts.query or parts.fragment:
        raise BadSetting(setting, "must be s3://BUCKET or s3://BUCKET/PREFIX")
    if not _BUCKET.fullmatch(parts.netloc):
        raise BadSetting(setting, "needs the name of a bucket: 3 to 63 lower-case letters, digits, - and .")
    prefix = parts.path.strip("/")
    if prefix and (problem := problem_of(prefix)):
        raise BadSetting(setting, f"has a prefix that can't be one: it {problem}")
    if len(prefix.encode("utf-8", "replace")) > MAX_PREFIX_BYTES:
        raise BadSetting(setting, f"has a prefix that is too long: {MAX_PREFIX_BYTES} bytes are possible")
    return BucketAddress(parts.netloc, f"{prefix}/" if prefix else "")


def check_prefixes(prefixes: Sequence[str], address: BucketAddress, setting: str) -> None:
    """Raises BadSetting for a prefix below which no app may name a key, or would lose its objects."""
    for prefix in prefixes:
        if problem := problem_of(f"{prefix}a"):
            raise BadSetting(setting, f"has the prefix {prefix!r}, but a key {problem}")
        if address.is_for_remainders(prefix):
            raise BadSetting(setting, f"has the prefix {prefix!r}, but {_KEPT_THERE}")


def check_key(
    key: str, allowed_prefixes: Sequence[str], address: BucketAddress, parameter: str = "key"
) -> None:
    """Raises BadParameter for a key that an app may not name, or that some store or program changes."""
    if problem := problem_of(key):
        raise BadParameter(parameter, problem)
    if not any(key.startswith(prefix) for prefix in allowed_prefixes):
        raise BadParameter(parameter, "begins with none of the prefixes that this server allows")
    if address.may_hit_remainders(key):
        raise BadParameter(parameter, f"names a place where no object may be: {_KEPT_THERE}")


def problem_of(key: str) -> str | None:
    """Returns what is wrong with a key, as the end of a sentence; None for a good one."""
    if not key:
        return "must not be empty"
    if len(key.encode("utf-8", "replace")) > MAX_KEY_BYTES:
        return f"must have at most {MAX_KEY_BYTES} bytes"
    if "\\" in key or any(unicodedata.category(character) in _NOT_IN_KEYS for character in key):
        return "must not contain control characters or backslashes"
    if {"", ".", ".."} & set(key.split("/")):
        return "must not begin or end with a slash, or contain //, /./ or /../"
    return None
