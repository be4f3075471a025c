"""The checksum of a file's beginning, whatever order its segments become known in."""

from __future__ import annotations

from random import Random

from crc32c import crc32c
from hypothesis import given, settings
from hypothesis import strategies as st

from incoming.client.protocol.resume_proof import ResumeProof
from incoming.client.protocol.stored_prefix import Segment, StoredPrefix

CONTENT = Random(4).randbytes(5000)


def read(segment: Segment) -> Segment:
    return Segment(segment.start, segment.end, crc32c(CONTENT[segment.start : segment.end]))


@settings(derandomize=True, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 600), st.booleans()), max_size=8))
def test_it_is_that_of_the_whole_once_every_gap_is_read(steps: list[tuple[bool, int, bool]]) -> None:
    prefix = StoredPrefix()
    for known, size_bytes, fills in steps:
        end = prefix.end_bytes + size_bytes
        if known:
            prefix.append(size_bytes, crc32c(CONTENT[prefix.end_bytes : end]))
        else:
            prefix.extend_to(end)
        if fills and (gap := prefix.gap(100)):
            prefix.fill(read(gap))
        assert prefix.end_bytes == end
    while gap := prefix.gap(77):
        assert 0 < gap.end - gap.start <= 77
        prefix.fill(read(gap))
    assert prefix.crc32c() == crc32c(CONTENT[: prefix.end_bytes])


def test_bytes_that_the_server_has_lost_are_sent_again() -> None:
    prefix = StoredPrefix()
    prefix.append(100, crc32c(CONTENT[:100]))
    prefix.extend_to(50)
    assert prefix.gap(1000) == Segment(0, 50)


def test_what_is_kept_apart_can_be_cut_off_and_the_rest_is_not_read_again() -> None:
    prefix = StoredPrefix()
    prefix.extend_to(50)
    prefix.append(50, crc32c(CONTENT[50:100]))
    prefix.keep_apart()
    prefix.append(100, crc32c(CONTENT[100:200]))
    prefix.append(100, crc32c(CONTENT[200:300]))
    prefix.fill(read(Segment(0, 50)))
    assert prefix.crc32c() == crc32c(CONTENT[:300])
    prefix.cut_to(100)
    assert (prefix.end_bytes, prefix.crc32c()) == (100, crc32c(CONTENT[:100]))
    prefix.append(3, crc32c(CONTENT[100:103]))
    assert prefix.crc32c() == crc32c(CONTENT[:103])


@settings(derandomize=True, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 600), st.booleans()), max_size=8), st.integers(0, 5000)
)
def test_a_cut_anywhere_leaves_gaps_that_can_be_read(steps: list[tuple[bool, int, bool]], at: int) -> None:
    prefix = StoredPrefix()
    for known, size_bytes, apart in steps:
        end = prefix.end_bytes + size_bytes
        if apart:
            prefix.keep_apart()
        if known:
            prefix.append(size_bytes, crc32c(CONTENT[prefix.end_bytes : end]))
        else:
            prefix.extend_to(end)
    end = min(at, prefix.end_bytes)
    prefix.cut_to(at)
    assert prefix.end_bytes == end
    while gap := prefix.gap(100):
        prefix.fill(read(gap))
    assert prefix.crc32c() == crc32c(CONTENT[:end])


def test_a_checksum_of_another_segment_is_ignored() -> None:
    prefix = StoredPrefix()
    prefix.extend_to(100)
    prefix.fill(Segment(10, 20, 1))
    prefix.fill(Segment(0, 101, 1))
    assert prefix.gap(1000) == Segment(0, 100)


def test_a_proof_has_a_checksum_for_each_range() -> None:
    ranges = ((0, 0), (0, 1000), (900, 900), (500, 5000))
    proof = ResumeProof(ranges)
    while due := proof.next_segment(333):
        proof.add(read(due))
    assert proof.checksums == [crc32c(CONTENT[start:end]) for start, end in ranges]
    assert ResumeProof(()).next_segment(1) is None
