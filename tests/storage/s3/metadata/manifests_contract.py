"""What every store of manifests promises. Subclass it as `TestX`, and define the fixture `manifests`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import pytest

from incoming.core.checksum import checksum
from incoming.core.errors import NotesLost, TakenOver
from incoming.storage.s3.metadata.manifest import Manifest, Manifests, Remainder, StoredPart
from incoming.storage.s3.part_plan import PartPlan

ID: Final = "2b1c5a06-3c5d-4a57-9f43-0d1f9a3f7c11"
NEW: Final = Manifest("in/ID", PartPlan(1000, 1000))
PARTS: Final = tuple(StoredPart(number, f'"e{number}"', 1000, number, number + 1) for number in range(1, 5))
REMAINDER: Final = Remainder("in/rest/ID/a-1", 3, 300, 7, 8)


class ManifestsContract:
    """Each test has an empty store, in which the upload `ID` has been claimed with the token "token"."""

    @pytest.fixture
    def manifests(self) -> Manifests:
        """The store under test."""
        raise NotImplementedError

    def claim(self, manifests: Manifests, token: str) -> Manifest | None:
        """A claim of the upload comes, in whatever process."""
        return manifests.fence(ID, token)

    @pytest.fixture
    def begun(self, manifests: Manifests) -> Manifests:
        """The store, with the manifest of an upload."""
        assert manifests.begin(ID, NEW) == NEW
        assert self.claim(manifests, "token") == NEW
        return manifests

    def test_there_is_no_manifest_before_the_first(self, manifests: Manifests) -> None:
        assert manifests.read(ID) is None
        assert manifests.fence(ID, "token") is None

    def test_the_first_manifest_counts(self, begun: Manifests) -> None:
        other = replace(NEW, key="other")
        assert begun.begin(ID, other) == NEW
        assert begun.read(ID) == NEW

    def test_parts_are_appended_and_the_rest_is_replaced(self, begun: Manifests) -> None:
        begun.add(ID, "token", PARTS[:2], None)
        begun.add(ID, "token", (), REMAINDER)
        assert begun.read(ID) == replace(NEW, parts=PARTS[:2], remainder=REMAINDER)
        begun.add(ID, "token", PARTS[2:], None)
        assert begun.read(ID) == replace(NEW, parts=PARTS)

    def test_sizes_are_those_of_whole_manifests(self, begun: Manifests) -> None:
        assert begun.sizes([]) == {}
        assert begun.sizes([ID, "unknown"]) == {ID: 0, "unknown": None}
        begun.add(ID, "token", (), replace(REMAINDER, number=1))
        assert begun.sizes([ID]) == {ID: 300}
        begun.add(ID, "token", PARTS[:2], REMAINDER)
        assert begun.sizes([ID]) == {ID: 2300}
        short = replace(PARTS[2], size_bytes=10)
        begun.add(ID, "token", (short,), None)
        assert begun.sizes([ID]) == {ID: 2010}

    def test_a_change_may_be_repeated(self, begun: Manifests) -> None:
        for _ in range(2):
            begun.add(ID, "token", PARTS[:2], REMAINDER)
            assert begun.read(ID) == replace(NEW, parts=PARTS[:2], remainder=REMAINDER)
        begun.add(ID, "token", PARTS[1:3], None)
        assert begun.read(ID) == replace(NEW, parts=PARTS[:3])
        for _ in range(2):
            begun.cut(ID, "token", 1, None)
            assert begun.read(ID) == replace(NEW, parts=PARTS[:1])

    def test_a_gap_is_refused_and_changes_nothing(self, begun: Manifests) -> None:
        begun.add(ID, "token", PARTS[:1], None)
        with pytest.raises(NotesLost):
            begun.add(ID, "token", PARTS[2:], REMAINDER)
        assert begun.read(ID) == replace(NEW, parts=PARTS[:1])

    def test_nothing_is_added_to_what_is_not_there(self, manifests: Manifests) -> None:
        with pytest.raises(NotesLost):
            manifests.add(ID, "token", PARTS, None)
        with pytest.raises(NotesLost):
            manifests.replace(ID, "token", NEW)
        assert manifests.read(ID) is None

    @pytest.mark.parametrize("count", [0, 2, 4])
    @pytest.mark.parametrize("remainder", [None, REMAINDER])
    def test_a_cut_keeps_the_first_parts(
        self, begun: Manifests, count: int, remainder: Remainder | None
    ) -> None:
        begun.add(ID, "token", PARTS, None)
        begun.cut(ID, "token", count, remainder)
        assert begun.read(ID) == replace(NEW, parts=PARTS[:count], remainder=remainder)

    def test_a_manifest_can_be_replaced_as_a_whole(self, begun: Manifests) -> None:
        begun.add(ID, "token", PARTS, REMAINDER)
        for new in (
            replace(NEW, upload_id="u", parts=PARTS[:3], remainder=REMAINDER),
            replace(NEW, upload_id="v", is_complete=True),
            replace(NEW, parts=PARTS),
        ):
            begun.replace(ID, "token", new)
            assert begun.read(ID) == new

    def test_a_file_that_is_complete_has_no_rest(self, begun: Manifests) -> None:
        begun.add(ID, "token", PARTS[:2], REMAINDER)
        begun.set_complete(ID, "token")
        assert begun.read(ID) == replace(NEW, parts=PARTS[:2], is_complete=True)

    def test_a_claim_before_the_newest_changes_nothing(self, begun: Manifests) -> None:
        begun.add(ID, "token", PARTS[:2], REMAINDER)
        known = begun.read(ID)
        assert self.claim(begun, "newer") == known
        changes: list[Callable[[], None]] = [
            lambda: begun.add(ID, "token", PARTS[2:], None),
            lambda: begun.cut(ID, "token", 0, None),
            lambda: begun.replace(ID, "token", NEW),
            lambda: begun.set_complete(ID, "token"),
        ]
        for change in changes:
            with pytest.raises(TakenOver):
                change()
        assert begun.read(ID) == known
        begun.add(ID, "newer", PARTS[2:], None)

    def test_what_is_forgotten_is_gone(self, begun: Manifests) -> None:
        begun.add(ID, "token", PARTS, REMAINDER)
        begun.forget(ID)
        begun.forget(ID)
        assert begun.read(ID) is None
        begun.begin(ID, NEW)
        assert begun.read(ID) == NEW

    def test_a_file_may_have_ten_thousand_parts(self, begun: Manifests) -> None:
        parts = tuple(StoredPart(n, f'"{n:032x}"', 1000, n, n) for n in range(1, 10_001))
        begun.add(ID, "token", parts[:5_000], None)
        begun.add(ID, "token", parts[5_000:], None)
        assert begun.read(ID) == replace(NEW, parts=parts)
        begun.replace(ID, "token", replace(NEW, parts=parts, upload_id="again"))
        assert begun.read(ID) == replace(NEW, parts=parts, upload_id="again")


def test_a_manifest_knows_the_checksum_of_everything_and_of_each_beginning() -> None:
    content = bytes(range(256)) * 1000
    pieces = [content[:100_000], content[100_000:200_000], content[200_000:]]
    sums = [(len(piece), checksum(piece), checksum(piece[:65_536])) for piece in pieces]
    parts = (StoredPart(1, "", *sums[0]), StoredPart(2, "", *sums[1]))
    manifest = Manifest("k", PartPlan(100_000), parts=parts, remainder=Remainder("r", 3, *sums[2]))
    assert manifest.checkpoint == (len(content), checksum(content))
    for start, end, crc in manifest.samples:
        assert crc == checksum(content[start:end])
    assert [start for start, _, _ in manifest.samples] == [0, 100_000, 200_000]
    assert Manifest("k", PartPlan(1)).checkpoint == (0, 0)
