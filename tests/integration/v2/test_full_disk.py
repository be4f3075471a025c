"""A disk that runs full, told in words that a client can act on: come back, and nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.test_full_disk import DISK_MIB, RESERVE_AHEAD_MIB, disk, fill, server
from tests.integration.v2.conftest import NewClient
from tests.support.app import ScriptedApp
from tests.support.client_v2 import UploadRefused
from tests.support.data import MIB
from tests.support.server import RunningServer

__all__ = ["disk", "server"]  # fixtures: a small disk, and a server on it


def is_told_to_come_back(refused: UploadRefused) -> bool:
    """Whether the client hears that there is no room at the moment."""
    return (refused.code, refused.retryable, refused.close_code) == ("storage_full", True, 1013)


def test_a_disk_that_gets_full_in_the_middle_costs_no_acknowledged_byte(
    server: RunningServer, disk: Path, new_client: NewClient, app: ScriptedApp
) -> None:
    client = new_client(32 * MIB, at=server).open()
    client.send_until_stored(8 * MIB)
    filler = fill(disk)
    with pytest.raises(UploadRefused) as refused:
        client.send_until_stored()
    assert is_told_to_come_back(refused.value)
    with pytest.raises(UploadRefused) as refused:
        client.connect().request()
    assert is_told_to_come_back(refused.value)
    filler.unlink()
    client.upload()
    assert client.resumed_at[-1] >= 8 * MIB
    assert app.deliveries[0].sha256 == client.data.sha256


def test_a_disk_that_is_full_at_the_end_does_not_delay_the_handover(
    server: RunningServer, disk: Path, new_client: NewClient, app: ScriptedApp
) -> None:
    client = new_client(RESERVE_AHEAD_MIB * MIB, at=server).open()
    client.send_until_stored(MIB)
    fill(disk)
    client.send_until_stored()
    client.complete()
    client.receive_result()
    assert app.deliveries[0].sha256 == client.data.sha256


def test_a_file_that_has_no_room_is_told_so_before_its_first_byte(
    server: RunningServer, new_client: NewClient
) -> None:
    with pytest.raises(UploadRefused) as refused:
        new_client((DISK_MIB + 1) * MIB, at=server).connect().request()
    assert is_told_to_come_back(refused.value)
