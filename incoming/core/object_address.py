"""Where a file is that is an object in a store such as S3."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ObjectAddress:
    """The address of an object. `url` is a secret: for a limited time, anybody who has it gets the object."""

    bucket: str
    key: str
    url: str = field(repr=False)
