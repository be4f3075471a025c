"""What the app is told beside the file: checksums of the whole file, and the metadata of its ticket."""

from __future__ import annotations

import hashlib
import json

import pytest
import requests

from tests.conftest import StartServer
from tests.integration.v2.conftest import CHUNK, QUICK, NewClient, old_client
from tests.support.app import ScriptedApp
from tests.support.client_v2 import checksum
from tests.support.data import MIB
from tests.support.server import RunningServer

MAX_METADATA_BYTES = 16 * 1024


def hex_crc32c(client_crc: int) -> str:
    """Returns a checksum as the handover has it: 8 hex digits."""
    return f"{client_crc:08x}"


@pytest.mark.parametrize("length_bytes", [0, 1, CHUNK + 1, 3 * MIB])
def test_the_app_gets_the_crc32c_of_the_file(
    new_client: NewClient, app: ScriptedApp, length_bytes: int
) -> None:
    client = new_client(length_bytes)
    client.upload()
    fields = app.deliveries[0].fields
    assert fields["crc32c"] == hex_crc32c(checksum(client.data))
    assert "sha256" not in fields
    assert "metadata" not in fields


def test_a_checksum_with_zeros_in_front_has_8_digits_too(new_client: NewClient, app: ScriptedApp) -> None:
    client = new_client(4)
    while checksum(client.data) >= 1 << 28:
        client = new_client(4)
    client.upload()
    assert app.deliveries[0].fields["crc32c"] == hex_crc32c(checksum(client.data))
    assert len(app.deliveries[0].fields["crc32c"]) == 8


@pytest.mark.parametrize("length_bytes", [0, 1, CHUNK + 1, 3 * MIB])
def test_an_app_that_asks_for_it_gets_the_sha256(
    new_client: NewClient, app: ScriptedApp, length_bytes: int
) -> None:
    client = new_client(length_bytes, digest="sha256")
    client.upload()
    assert app.deliveries[0].fields["sha256"] == client.data.sha256


@pytest.mark.parametrize("length_bytes", [0, 1, 3 * MIB + 1])
def test_version_1_brings_the_same_checksums(
    server: RunningServer, new_client: NewClient, app: ScriptedApp, length_bytes: int
) -> None:
    client = new_client(length_bytes, digest="sha256")
    old_client(server, client).upload()
    fields = app.deliveries[0].fields
    assert (fields["crc32c"], fields["sha256"]) == (hex_crc32c(checksum(client.data)), client.data.sha256)


def test_the_checksums_are_of_the_whole_file_after_many_connections(
    new_client: NewClient, app: ScriptedApp
) -> None:
    client = new_client(9 * CHUNK + 5, digest="sha256")
    for count in range(1, 9):
        client.open().send_until_stored(count * CHUNK)
        client.drop()
    client.upload()
    fields = app.deliveries[0].fields
    assert (fields["crc32c"], fields["sha256"]) == (hex_crc32c(checksum(client.data)), client.data.sha256)


@pytest.mark.parametrize("version", [1, 2])
def test_the_checksums_are_of_the_whole_file_after_kills_in_its_middle(
    start_server: StartServer, new_client: NewClient, app: ScriptedApp, version: int
) -> None:
    server = start_server(**QUICK)
    client = new_client(12 * MIB + 5, at=server, digest="sha256")
    old = old_client(server, client)
    for mib in (5, 10):
        if version == 2:
            client.open().send_until_stored(mib * MIB)
        else:
            old.open().send_until_acked(mib * MIB)
        server.restart()
    if version == 2:
        client.upload()
    else:
        old.upload()
    fields = app.deliveries[0].fields
    assert (fields["crc32c"], fields["sha256"]) == (hex_crc32c(checksum(client.data)), client.data.sha256)


def test_the_checksums_are_right_when_all_was_stored_before_the_kill(
    start_server: StartServer, new_client: NewClient, app: ScriptedApp
) -> None:
    server = start_server(**QUICK)
    client = new_client(6 * MIB, at=server, digest="sha256").open()
    client.send_until_stored()
    server.restart()
    client.upload()
    fields = app.deliveries[0].fields
    assert (fields["crc32c"], fields["sha256"]) == (hex_crc32c(checksum(client.data)), client.data.sha256)


def test_repeated_deliveries_have_the_same_fields_over_a_kill(
    start_server: StartServer, new_client: NewClient, app: ScriptedApp
) -> None:
    server = start_server(**QUICK)
    app.stop()
    client = new_client(3 * CHUNK, at=server, digest="sha256", metadata='{"a": 1}').open()
    client.send_until_stored()
    client.complete()
    while "waiting_for_app" not in client.news:
        client.receive_next()
    server.kill()
    app.start()
    server.start()
    fields = app.wait_for(1)[0].fields
    assert fields["sha256"] == client.data.sha256
    assert fields["crc32c"] == hex_crc32c(checksum(client.data))
    assert fields["metadata"] == '{"a": 1}'


# --- metadata ------------------------------------------------------------------------------------------


def new_upload_by_form(server: RunningServer, **params: str) -> requests.Response:
    """Asks for a ticket in the body: 16 KiB of metadata are too long for a request line."""
    return requests.post(f"{server.url}/incoming/backend/new_upload", data=params, timeout=60)


METADATA = [
    '{"user": 7, "folder": "Grüße & <more>", "tags": [null, true, 1.5]}',
    "[]",
    '"text"',
    " { } ",
    '{"x": "' + "y" * (MAX_METADATA_BYTES - 10) + '"}',
]


@pytest.mark.parametrize("metadata", METADATA, ids=lambda text: text[:20])
def test_metadata_reach_the_app_as_they_were_given(
    server: RunningServer, new_client: NewClient, app: ScriptedApp, metadata: str
) -> None:
    client = new_client(10)
    client.ticket_id = new_upload_by_form(server, signalFinishURL=app.url, metadata=metadata).text
    client.upload()
    assert app.deliveries[0].fields["metadata"] == metadata


def test_metadata_are_there_when_the_upload_is_cancelled(new_client: NewClient, app: ScriptedApp) -> None:
    client = new_client(metadata='{"user": 7}').open()
    client.cancel()
    assert app.wait_for(1)[0].fields["metadata"] == '{"user": 7}'


def test_metadata_are_not_told_to_the_client(new_client: NewClient) -> None:
    client = new_client(10, metadata='{"secret": "s3cret"}').open()
    assert "s3cret" not in json.dumps(client.conf)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("metadata", "not JSON"),
        ("metadata", '{"half": '),
        ("metadata", '{"a": NaN}'),
        ("metadata", "[-Infinity]"),
        ("metadata", '"' + "y" * MAX_METADATA_BYTES + '"'),
        ("digest", "md5"),
        ("digest", "SHA-256"),
        ("maxBytesPerS", "fast"),
        ("maxBytesPerS", "-1"),
        ("maxBytesPerS", "1.5"),
    ],
    ids=lambda text: text[:20],
)
def test_a_ticket_with_a_parameter_that_makes_no_sense_is_refused_by_name(
    server: RunningServer, app: ScriptedApp, parameter: str, value: str
) -> None:
    answer = new_upload_by_form(server, signalFinishURL=app.url, **{parameter: value})
    assert answer.status_code == 400
    assert parameter in answer.text


def test_empty_parameters_count_as_absent(new_client: NewClient, app: ScriptedApp) -> None:
    new_client(10, metadata="", digest="", maxBytesPerS="").upload()
    assert not {"metadata", "sha256"} & set(app.deliveries[0].fields)


def test_a_cancelled_upload_has_no_checksums(
    server: RunningServer, new_client: NewClient, app: ScriptedApp
) -> None:
    client = new_client(digest="sha256").open()
    client.send_until_stored(CHUNK)
    client.cancel()
    fields = app.wait_for(1)[0].fields
    assert not fields.get("crc32c") and not fields.get("sha256")


def test_the_sha256_is_that_of_the_file_on_the_disk(new_client: NewClient, app: ScriptedApp) -> None:
    client = new_client(MIB, digest="sha256")
    client.upload()
    expected = hashlib.sha256(client.data.read(0, MIB)).hexdigest()
    assert app.deliveries[0].fields["sha256"] == app.deliveries[0].sha256 == expected
