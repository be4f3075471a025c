"""Which keys objects may have."""

from __future__ import annotations

from typing import Final

import pytest

from incoming.core.errors import BadParameter, BadSetting
from incoming.storage.s3.keys import BucketAddress, check_key, check_prefixes, parse_address, problem_of

ADDRESS: Final = BucketAddress("uploads", "in/")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("s3://uploads", BucketAddress("uploads")),
        ("s3://uploads/", BucketAddress("uploads")),
        ("s3://my.up-loads/in", BucketAddress("my.up-loads", "in/")),
        ("s3://uploads/in/coming/", BucketAddress("uploads", "in/coming/")),
    ],
)
def test_an_address_names_a_bucket_and_a_prefix(text: str, address: BucketAddress) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text",
    ["", "uploads", "http://uploads/in", "s3://", "s3://ab", "s3://Up", "s3://a_b_c", "s3://uploads/a//b",
     "s3://uploads/../b", "s3://uploads/a?b=c", "s3://" + "a" * 64, "s3://uploads/" + "a" * 1025],
)  # fmt: skip
def test_what_names_no_bucket_is_refused_in_words(text: str) -> None:
    with pytest.raises(BadSetting, match=r"^storage: .{20}"):
        parse_address(text)


def test_everything_of_an_upload_is_below_the_prefix() -> None:
    assert ADDRESS.object_key("ID") == "in/ID"
    assert ADDRESS.remainders("ID") == "in/rest/ID/"


@pytest.mark.parametrize(
    "key", ["videos/a.mp4", "videos/ä b (1)/ü+&=@,;:'!*.mp4", "videos/" + "a" * 1017, "in/rests/a"]
)
def test_a_key_below_an_allowed_prefix_is_allowed(key: str) -> None:
    check_key(key, ["other/", "videos/", "in/re"], ADDRESS)


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("", "empty"),
        ("music/a", "prefixes"),
        ("video", "prefixes"),
        ("videos/../secret", "slash"),
        ("videos/./a", "slash"),
        ("videos//a", "slash"),
        ("videos/", "slash"),
        ("/videos/a", "slash"),
        ("videos/a\nb", "control"),
        ("videos/a\x00", "control"),
        ("videos/\ud800", "control"),
        ("videos/\u200b", "control"),
        ("videos/a\\b", "backslash"),
        ("videos/" + "ä" * 509, "1024 bytes"),
        ("in", "unfinished uploads"),
        ("in/rest", "unfinished uploads"),
        ("in/rest/a", "unfinished uploads"),
        ("in/rest/0/1", "unfinished uploads"),
    ],
)
def test_a_key_that_is_not_allowed_is_refused_in_words(key: str, why: str) -> None:
    with pytest.raises(BadParameter, match=why) as caught:
        check_key(key, ["videos/", "in"], ADDRESS, "destinationKey")
    assert "destinationKey" in str(caught.value)


def test_without_allowed_prefixes_no_key_is_allowed() -> None:
    with pytest.raises(BadParameter):
        check_key("a", [], ADDRESS)


def test_a_prefix_leaves_room_for_the_longest_key_of_the_server() -> None:
    address = parse_address(f"s3://uploads/{'ä' * 450}")
    remainder = f"{address.remainders('0' * 36)}{'0' * 16}-{10**18}"
    assert problem_of(remainder) is None
    with pytest.raises(BadSetting, match="900 bytes are possible"):
        parse_address(f"s3://uploads/{'ä' * 450}b")


@pytest.mark.parametrize(
    "prefix", ["/", "/videos/", "videos//", "../", "videos/../", "a\\b/", "in/rest/", "in/rest/videos/"]
)
def test_a_prefix_below_which_no_object_may_be_is_refused(prefix: str) -> None:
    with pytest.raises(BadSetting, match=r"^s3_destination_prefixes: has the prefix"):
        check_prefixes(["videos/", prefix], ADDRESS, "s3_destination_prefixes")


@pytest.mark.parametrize("prefix", ["videos/", "in/", "in/inbox/", "rest/", "video", "in/rest"])
def test_a_prefix_with_room_for_objects_is_accepted(prefix: str) -> None:
    check_prefixes([prefix], ADDRESS, "s3_destination_prefixes")
