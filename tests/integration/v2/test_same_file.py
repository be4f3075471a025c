"""The resume check (docs/reference/protocol.md): another file is detected before a new byte is stored."""

from __future__ import annotations

import pytest

from tests.integration.v2.conftest import CHUNK, NewClient
from tests.support.app import ScriptedApp
from tests.support.client_v2 import ClientV2, UploadRefused, checksum
from tests.support.data import MIB, FileBytes
from tests.support.server import RunningServer

LENGTH_BYTES = 20 * MIB
STORED_BYTES = 12 * MIB


class Altered(FileBytes):
    """The same file but for the byte at `at`."""

    def __init__(self, original: FileBytes, at: int) -> None:
        super().__init__(original.length_bytes, original.seed)
        self.at = at

    def read(self, offset_bytes: int, size_bytes: int) -> bytes:
        """Returns what a file would, with the one byte changed."""
        data = super().read(offset_bytes, size_bytes)
        place = self.at - offset_bytes
        if not 0 <= place < len(data):
            return data
        return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def begun(new_client: NewClient, stored_bytes: int = STORED_BYTES, **how: str) -> ClientV2:
    """Returns a client that has stored a part of its file and gone away."""
    client = new_client(LENGTH_BYTES, **how).open()
    client.send_until_stored(stored_bytes)
    client.receive_until_stored()
    client.drop()
    return client


def is_the_file_of(error: UploadRefused, client: ClientV2) -> bool:
    """Whether the error tells which file is meant."""
    named = ("FileName", "FileLengthBytes", "FileLastModifiedMs")
    meant = (client.name, client.data.length_bytes, client.last_modified_ms)
    return tuple(error.error[member] for member in named) == meant


def unsampled(conf: dict[str, list[list[int]]]) -> int:
    """Returns a stored place that the server does not ask for."""
    at = 0
    for start, end in conf["Compare"]:
        if at < start:
            return at
        at = end
    return at


def test_the_same_file_is_compared_by_samples_of_what_is_stored(new_client: NewClient) -> None:
    client = begun(new_client)
    conf = client.connect().request()
    asked_bytes = sum(end - start for start, end in conf["Compare"])
    assert 0 < asked_bytes < STORED_BYTES / 4
    assert len(conf["Compare"]) > 1
    client.agree()
    client.finish()


@pytest.mark.parametrize("stored_bytes", [1, 1000, CHUNK, CHUNK + 1, MIB])
def test_little_that_is_stored_is_compared_as_well(new_client: NewClient, stored_bytes: int) -> None:
    client = new_client(2 * MIB).open()
    while client.sent_bytes < stored_bytes:
        client.send_chunk(min(CHUNK, stored_bytes - client.sent_bytes))
    client.receive_until_stored()
    client.drop()
    assert client.connect().request()["Compare"]
    client.agree()
    client.finish()


def test_a_file_that_was_changed_at_another_time_is_compared_as_a_whole(new_client: NewClient) -> None:
    client = begun(new_client)
    client.last_modified_ms += 1000  # touched, and the same
    assert client.connect().request()["Compare"] == [[0, client.stored_bytes]]
    client.agree()
    client.finish()


def test_the_time_that_counts_is_that_of_the_beginning(new_client: NewClient) -> None:
    client = begun(new_client)
    began_ms = client.last_modified_ms
    client.last_modified_ms += 1000
    assert client.connect().request()["FileLastModifiedMs"] == began_ms
    client.agree()
    client.send_until_stored(client.stored_bytes + CHUNK)
    client.drop()
    assert client.connect().request()["Compare"] == [[0, client.stored_bytes]]


def test_nothing_is_compared_when_nothing_is_stored(new_client: NewClient) -> None:
    client = new_client()
    for last_modified_ms in (1, 2):
        client.last_modified_ms = last_modified_ms
        assert client.connect().request()["Compare"] == []
        client.drop()


@pytest.mark.parametrize("changed_at", ["another time", "the same time"])
def test_another_file_of_the_same_length_is_noticed_before_a_byte_is_stored(
    server: RunningServer, new_client: NewClient, app: ScriptedApp, changed_at: str
) -> None:
    client = begun(new_client, name="the right <one> & only.mov")
    wrong = new_client(of=client)
    wrong.name = "another.mov"
    wrong.data = FileBytes(LENGTH_BYTES, seed=client.data.seed + 10_000)
    wrong.last_modified_ms += changed_at == "another time"
    wrong.open()
    wrong.send_chunk()
    refused = wrong.refusal()
    assert (refused.code, refused.retryable) == ("wrong_file", False)
    assert is_the_file_of(refused, client)
    assert server.stored_file(client.ticket_id).stat().st_size == client.stored_bytes
    client.upload()
    assert app.deliveries[0].sha256 == client.data.sha256
    assert client.resumed_at == [0, client.resumed_at[1]]


def test_one_wrong_checksum_among_many_is_noticed(new_client: NewClient) -> None:
    client = begun(new_client)
    conf = client.connect().request()
    checksums = [checksum(client.data, start, end) for start, end in conf["Compare"]]
    client.agree([*checksums[:-1], checksums[-1] ^ 1])
    assert client.refusal().code == "wrong_file"
    assert client.connect().request()["Offset"] == client.stored_bytes
    client.agree()
    client.finish()


def test_one_changed_byte_is_noticed_when_everything_is_compared(new_client: NewClient) -> None:
    client = begun(new_client)
    wrong = new_client(of=client)
    wrong.data = Altered(client.data, at=unsampled(client.connect().request()))
    wrong.last_modified_ms += 1
    wrong.open()
    assert wrong.refusal().code == "wrong_file"
    client.upload()


def test_another_length_is_an_error_that_does_not_disturb_the_running_upload(
    new_client: NewClient, app: ScriptedApp
) -> None:
    client = new_client(9 * CHUNK).open()
    client.send_until_stored(3 * CHUNK)
    other = new_client(of=client)
    other.data = FileBytes(9 * CHUNK + 1)
    with pytest.raises(UploadRefused) as refused:
        other.connect().request()
    assert (refused.value.code, refused.value.retryable) == ("length_mismatch", False)
    assert is_the_file_of(refused.value, client)
    client.finish()
    assert client.resumed_at == [0]
    assert app.deliveries[0].sha256 == client.data.sha256


def test_a_wrong_file_does_not_disturb_anybody_but_itself(new_client: NewClient) -> None:
    client = begun(new_client)
    for _ in range(3):
        wrong = new_client(of=client)
        wrong.data = FileBytes(LENGTH_BYTES, seed=1)
        wrong.open()
        wrong.refusal()
    client.upload()


def test_while_a_client_compares_for_long_pings_keep_its_connection(
    new_client: NewClient, app: ScriptedApp
) -> None:
    client = begun(new_client)
    client.connect().request()
    for _ in range(3):
        client.ping()
    client.agree()
    client.finish()
    assert app.deliveries[0].sha256 == client.data.sha256


# --- at the end ------------------------------------------------------------------------------------------


def hidden_change(new_client: NewClient) -> tuple[ClientV2, ClientV2]:
    """Returns the client that began, and one that sent the rest of a file that differs beside the samples."""
    client = begun(new_client)
    wrong = new_client(of=client)
    conf = wrong.connect().request()
    wrong.data = Altered(client.data, at=unsampled(conf))
    wrong.agree()
    wrong.send_until_stored()
    return client, wrong


def test_a_file_that_differs_where_no_sample_was_taken_is_noticed_at_the_end(
    new_client: NewClient, app: ScriptedApp
) -> None:
    client, wrong = hidden_change(new_client)
    wrong.complete()
    refused = wrong.refusal()
    assert (refused.code, refused.retryable) == ("damaged", True)
    assert wrong.connect().request()["Compare"] == [[0, LENGTH_BYTES]]
    wrong.agree()
    refused = wrong.refusal()
    assert (refused.code, refused.retryable) == ("wrong_file", False)
    assert is_the_file_of(refused, client)
    assert not app.deliveries


def test_the_file_that_was_begun_is_right_when_only_the_checksum_at_the_end_was_wrong(
    new_client: NewClient, app: ScriptedApp
) -> None:
    client = new_client(9 * CHUNK).open()
    client.send_until_stored()
    client.complete(crc=checksum(client.data) ^ 1)
    assert client.refusal().code == "damaged"
    client.upload()
    assert client.resumed_at == [0, 9 * CHUNK]
    assert app.deliveries[0].sha256 == client.data.sha256


def test_after_that_the_right_file_begins_at_its_first_byte(new_client: NewClient, app: ScriptedApp) -> None:
    client, wrong = hidden_change(new_client)
    wrong.complete()
    wrong.refusal()
    with pytest.raises(UploadRefused):
        wrong.upload()
    again = new_client(of=client)
    again.upload()
    assert again.resumed_at == [0]
    assert [d.sha256 for d in app.deliveries] == [client.data.sha256]


def test_a_wrong_checksum_at_the_end_is_never_handed_over(new_client: NewClient, app: ScriptedApp) -> None:
    client = new_client(3 * CHUNK)
    for _ in range(3):
        client.open().send_until_stored()
        client.complete(crc=checksum(client.data) ^ 1)
        assert client.refusal().code == "damaged"
    assert not app.deliveries
    client.upload()
    assert [d.sha256 for d in app.deliveries] == [client.data.sha256]


def test_an_empty_file_with_a_checksum_is_not_handed_over(new_client: NewClient, app: ScriptedApp) -> None:
    client = new_client(0).open()
    client.complete(crc=1)
    assert client.refusal().code == "damaged"
    assert not app.deliveries
    client.upload()
    assert [d.size_bytes for d in app.deliveries] == [0]
