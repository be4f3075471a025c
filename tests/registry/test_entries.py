"""The journal's text: a ticket is read as it was written, and what is damaged says so."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import fields, replace

from incoming.core.checkpoints import Checkpoint
from incoming.core.lifecycle import State
from incoming.core.parts import Assembly, Part, UploadParts
from incoming.core.ticket import Ticket
from incoming.registry.entries import (
    DamagedEntry,
    decode,
    decode_all,
    encode,
    latest_entries,
    ticket_entry,
    tombstone,
)

ID = "2b1c5a06-3c5d-4a57-9f43-0d1f9a3f7c11"
OTHER_ID = "9d4f2f3e-52d1-4f5e-8f0a-6f6c5f2b7e22"
TICKET = Ticket(ID, "http://app.example.org/finished")
FULL_TICKET = Ticket(
    id=ID,
    signal_finish_url="https://app.example.org/finished?x=1&y=ü",
    secret="s3cret \N{SNOWMAN}",
    secret_required=True,
    remove_file_when_finished=False,
    file_owner_uid=1000,
    issued_at_s=12.5,
    changed_at_s=99.25,
    state=State.WAITING,
    length_bytes=1 << 40,
    name="holiday \N{GRINNING FACE}.mov",
    reason="a reason",
    asks=2,
    app_told=True,
    last_modified_ms=1_700_000_000_123,
    needs_proof=True,
    wants_sha256=True,
    crc32c=0,
    sha256="e3b0c442",
    metadata='{"album": "ü"}',
    max_bytes_per_s=1000,
    boot_id="0f5f7f3c-8d5b-4f8e-9a43-0d1f9a3f7c11",
    checkpoints=(Checkpoint(1000, 0), Checkpoint(1 << 33, 0xFFFFFFFF)),
    parts=UploadParts(
        (Part(1, 0, 1 << 40, "a ü"), Part(3, None, None)), 3, Assembly((3, 1, 3), "/x/", False)
    ),
    return_url="https://app.example.org/thanks?ü",
    upload_metadata="filename aG9saWRheS5tb3Y=,is_confidential",
    file_digest="crc32c:00000000",
    checked_bytes=1 << 33,
    dest_type="folder",
    left_out=(0, 7, 100_000),
)


def raw(**fields: Any) -> bytes:
    """The text of an entry with these fields of its ticket."""
    basics = {"id": ID, "signal_finish_url": "http://app.example.org/finished"}
    return json.dumps({"version": 1, "ticket": {**basics, **fields}}).encode()


# --- lines -----------------------------------------------------------------------------------------


def kept(*lines: bytes) -> list[Ticket]:
    found, unknown = decode_all(latest_entries(lines))
    assert not unknown
    return found


def other() -> Ticket:
    return replace(TICKET, id=OTHER_ID)


@pytest.mark.parametrize("ticket", [TICKET, FULL_TICKET], ids=["new", "full"])
def test_a_ticket_is_one_line_that_is_read_as_it_was_written(ticket: Ticket) -> None:
    assert b"\n" not in ticket_entry(ticket)
    assert kept(ticket_entry(ticket)) == [ticket]


def test_each_of_many_tickets_has_its_own_checkpoints() -> None:
    checkpoints = [(), (Checkpoint(7, 8),), (), (Checkpoint(1, 2), Checkpoint(3, 4))]
    for some in checkpoints:
        ticket = replace(FULL_TICKET, checkpoints=some)
        assert kept(ticket_entry(ticket)) == [ticket]
        assert all(isinstance(one, Checkpoint) for one in kept(ticket_entry(ticket))[0].checkpoints)
    with pytest.raises(DamagedEntry):
        decode(encode(FULL_TICKET).replace(b"[[1000,0]", b"[[-1,0]"), ID)


@pytest.mark.parametrize("state", State)
def test_every_state_is_kept(state: State) -> None:
    ticket = replace(FULL_TICKET, state=state)
    assert kept(ticket_entry(ticket)) == [ticket]


def test_claims_and_calls_die_with_the_process() -> None:
    claimed = replace(FULL_TICKET, epoch=7, token="t", deliveries=3)
    assert kept(ticket_entry(claimed)) == [FULL_TICKET]


def test_the_latest_entry_of_each_ticket_counts() -> None:
    entries = [ticket_entry(ticket) for ticket in (TICKET, other(), FULL_TICKET)]
    assert kept(*entries) == [FULL_TICKET, other()]


def test_a_ticket_that_was_forgotten_is_gone_and_may_come_again() -> None:
    gone = (ticket_entry(TICKET), ticket_entry(other()), tombstone(ID), tombstone(ID))
    assert kept(*gone) == [other()]
    assert kept(*gone, ticket_entry(FULL_TICKET)) == [FULL_TICKET, other()]


def test_the_next_log_gets_entries_unchanged() -> None:
    entries = [ticket_entry(ticket) for ticket in (other(), TICKET, other())]
    assert list(latest_entries(entries).values()) == entries[:2]


def test_a_field_with_its_default_is_left_out_so_no_default_ever_changes() -> None:
    assert ticket_entry(TICKET) == b'%s {"version": 1, "ticket": {"id":"%s","signal_finish_url":"%s"}}' % (
        ID.encode(), ID.encode(), TICKET.signal_finish_url.encode(),
    )  # fmt: skip
    texts = ["secret", "token", "name", "reason", "sha256", "metadata", "boot_id", "return_url"]
    texts += ["upload_metadata", "file_digest", "destination", "storage"]
    numbers = ["epoch", "deliveries", "asks", "last_modified_ms", "max_bytes_per_s", "max_bytes"]
    flags = ["secret_required", "app_told", "needs_proof", "wants_sha256", "is_whole", "to_delete"]
    flags += ["length_is_said", "had_other_length"]
    assert {one.name: one.default for one in fields(Ticket) if not one.required} == {
        **dict.fromkeys(texts, ""),
        **dict.fromkeys(numbers, 0),
        **dict.fromkeys(flags, False),
        **dict.fromkeys(["file_owner_uid", "length_bytes", "crc32c", "parts", "checked_bytes"]),
        **dict.fromkeys(["issued_at_s", "changed_at_s", "issued_unix_s"], 0.0),
        **dict.fromkeys(["checkpoints", "left_out"], ()),
        "remove_file_when_finished": True,
        "state": State.ISSUED,
        "dest_type": "file",
    }


def test_an_entry_without_a_valid_ticket_does_not_affect_others() -> None:
    bad = (b"", b"rubbish", b"\xff {}", ID.encode() + b' {"version": 2}')
    found, unknown = decode_all(latest_entries((*bad, ticket_entry(other()))))
    assert found == [other()]
    assert str(unknown[ID]) == "it is not of version 1"
    assert len(unknown) == len(bad)


# --- entries ---------------------------------------------------------------------------------------


DAMAGED = {
    "empty": b"",
    "cut off": encode(FULL_TICKET)[:-40],
    "zeros, as after a power cut": bytes(300),
    "not text": b"\xff\xfe\x00",
    "deeply nested": b"[" * 100_000,
    "a list": b"[]",
    "no version": b'{"ticket": {}}',
    "of a later version": encode(TICKET).replace(b'"version": 1', b'"version": 2'),
    "no ticket": b'{"version": 1}',
    "a ticket that is text": b'{"version": 1, "ticket": "x"}',
    "no URL": json.dumps({"version": 1, "ticket": {"id": ID}}).encode(),
    "no id": b'{"version": 1, "ticket": {"signal_finish_url": "http://x"}}',
    "another id": raw(id=OTHER_ID),
    "an unknown state": raw(state="flying"),
    "a state that is a list": raw(state=[]),
    "a length that is text": raw(length_bytes="5"),
    "a length that is a boolean": raw(length_bytes=True),
    "a flag that is a number": raw(secret_required=1),
    "a time that is text": raw(changed_at_s="now"),
    "a name that is null": raw(name=None),
    "a checksum that is text": raw(crc32c="00000000"),
    "a checksum that is a boolean": raw(crc32c=False),
    "metadata that are no text": raw(metadata={"a": 1}),
    "a proof that is a number": raw(needs_proof=1),
    "a return URL that is null": raw(return_url=None),
    "upload metadata that are a list": raw(upload_metadata=["filename"]),
    "a digest that is null": raw(file_digest=None),
    "a mark that is text": raw(checked_bytes="7"),
    "a mark that is a boolean": raw(checked_bytes=True),
    "a limit that is null": raw(max_bytes_per_s=None),
    "a checkpoint that is text": raw(checkpoints=["x" * 1000]),
    "checkpoints that are none": raw(checkpoints=None),
    "a checkpoint in front of the one before": raw(checkpoints=[[2, 0], [1, 0]]),
}
TOO_MUCH_FOR_TIMES = {
    "a time beyond all floats": raw(changed_at_s=10**400),
    "a time that is no number": raw(changed_at_s=float("nan")),
    "a time without end": raw(changed_at_s=float("inf")),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=list(DAMAGED))
def test_a_damaged_entry_says_what_is_wrong_with_it(content: bytes) -> None:
    with pytest.raises(DamagedEntry) as damaged:
        decode(content, ID)
    assert 0 < len(str(damaged.value)) <= 200


@pytest.mark.parametrize("content", TOO_MUCH_FOR_TIMES.values(), ids=list(TOO_MUCH_FOR_TIMES))
def test_an_invalid_time_is_damage(content: bytes) -> None:
    with pytest.raises(DamagedEntry):
        decode(content, ID)


@pytest.mark.parametrize("name", ["", "x", "../../etc/passwd", ID.upper(), ID + "0"])
def test_an_entry_whose_name_is_not_a_ticket_id_is_damaged(name: str) -> None:
    with pytest.raises(DamagedEntry):
        decode(raw(id=name), name)


@pytest.mark.parametrize(("written", "read"), [(7, 7.0), (7.5, 7.5)])
def test_a_time_may_be_a_whole_number(written: float, read: float) -> None:
    ticket = decode(raw(changed_at_s=written), ID)
    assert (ticket.changed_at_s, type(ticket.changed_at_s)) == (read, float)


@pytest.mark.parametrize("value", [None, 5])
def test_a_length_is_known_or_not(value: int | None) -> None:
    assert decode(raw(length_bytes=value), ID).length_bytes == value


def test_fields_of_a_later_server_are_ignored_and_missing_ones_have_their_defaults() -> None:
    assert decode(raw(colour="green"), ID) == TICKET


def test_an_entry_of_version_1_is_a_ticket_that_asks_for_nothing_of_version_2() -> None:
    entry = json.loads(encode(FULL_TICKET))
    later = ("last_modified_ms", "needs_proof", "wants_sha256", "crc32c", "sha256", "metadata")
    for name in (*later, "max_bytes_per_s"):
        del entry["ticket"][name]
    ticket = decode(json.dumps(entry).encode(), ID)
    assert (ticket.last_modified_ms, ticket.needs_proof, ticket.wants_sha256) == (0, False, False)
    assert (ticket.crc32c, ticket.sha256, ticket.metadata, ticket.max_bytes_per_s) == (None, "", "", 0)


def test_an_entry_of_a_server_without_folders_is_for_a_file() -> None:
    entry = json.loads(encode(FULL_TICKET))
    del entry["ticket"]["dest_type"]
    assert decode(json.dumps(entry).encode(), ID) == replace(FULL_TICKET, dest_type="file")


@pytest.mark.parametrize("value", [["a"], [1.5], [[1]], [None], {"1": 2}, "12"])
def test_what_was_left_out_are_numbers(value: object) -> None:
    with pytest.raises(DamagedEntry, match="left_out"):
        decode(raw_of(FULL_TICKET, left_out=value), ID)


def test_an_entry_of_a_server_without_uploads_over_http_has_neither_urls_nor_marks() -> None:
    entry = json.loads(encode(FULL_TICKET))
    for name in ("return_url", "upload_metadata", "checked_bytes"):
        del entry["ticket"][name]
    ticket = decode(json.dumps(entry).encode(), ID)
    assert (ticket.return_url, ticket.upload_metadata, ticket.checked_bytes) == ("", "", None)
    assert ticket == replace(FULL_TICKET, return_url="", upload_metadata="", checked_bytes=None)


@pytest.mark.parametrize("value", [None, 0, 2**32 - 1])
def test_a_checksum_is_known_or_not_and_may_be_zero(value: int | None) -> None:
    assert decode(raw(crc32c=value), ID).crc32c == value


def test_a_ticket_that_is_like_the_ones_before_is_checked_as_they_were() -> None:
    assert decode(raw_of(FULL_TICKET), ID) == FULL_TICKET
    for name, value in (
        ("state", "flying"),
        ("changed_at_s", 1e15),
        ("issued_at_s", float("nan")),
        ("name", 7),
    ):
        with pytest.raises(DamagedEntry, match=name):
            decode(raw_of(FULL_TICKET, **{name: value}), ID)


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.integers(-4, 4).map(float),
    st.text(st.characters()), st.sampled_from(State).map(lambda state: state.value),
    st.lists(st.lists(st.integers(-1, 1 << 33), max_size=3), max_size=3), st.just({}), st.just([]),
)  # fmt: skip


@settings(deadline=None)  # it is about values, and the machine may be busy
@given(name=st.sampled_from([*json.loads(encode(FULL_TICKET))["ticket"]]), value=VALUES)
def test_a_value_is_read_as_it_was_written_or_is_damage(name: str, value: Any) -> None:
    try:
        ticket = decode(raw_of(FULL_TICKET, **{name: value}), ID)
    except DamagedEntry:
        return
    read = getattr(ticket, name)
    if name == "checkpoints":
        value = tuple(map(tuple, value))
    assert read == (tuple(value) if name == "left_out" else value)
    assert type(read) is type(getattr(FULL_TICKET, name)) or type(read) is type(value)
    assert ticket == replace(FULL_TICKET, **{name: read})


@pytest.mark.parametrize("name", ["\ud800.bin", "\udcff", "a\0b", "\N{GRINNING FACE}", '"\\\n'])
def test_a_file_name_of_any_letters_survives_the_journal(name: str) -> None:
    ticket = replace(FULL_TICKET, name=name)
    assert kept(ticket_entry(ticket)) == [ticket]


def raw_of(ticket: Ticket, **fields: Any) -> bytes:
    """The text of a ticket's entry, with other values in some of its fields."""
    entry = json.loads(encode(ticket))
    entry["ticket"] |= fields
    return json.dumps(entry).encode()


def test_a_sound_entry_is_decoded_in_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """A start decodes 200,000 before it serves anybody. Field by field that takes three times as long."""

    def fail(_: bytes) -> Ticket:
        raise AssertionError("decoded field by field")

    monkeypatch.setattr("incoming.registry.entries._decoded_by_fields", fail)
    assert decode(encode(TICKET), ID) == TICKET
