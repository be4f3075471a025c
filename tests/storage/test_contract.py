"""Every storage keeps the promises of the seam."""

from __future__ import annotations

from pathlib import Path

import pytest

from incoming.storage import Storage
from incoming.storage.local.storage import DiskFacts, LocalStorage
from tests.storage.contract import Place, StorageContract
from tests.storage.parts_contract import PartsContract
from tests.support.fakes import FakeRuntime
from tests.support.piece_storage import PieceStorage

RESERVE_BYTES = 1 << 20


class Directory:
    """A directory of this machine."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._runtime = FakeRuntime()

    def storage(self) -> Storage:
        """See contract.Place."""
        return LocalStorage(self._directory, RESERVE_BYTES, self._runtime, DiskFacts(boot_id="the first"))

    def settle(self) -> None:
        """See contract.Place."""
        self._runtime.settle()


class Pieces:
    """A store of whole pieces."""

    def __init__(self) -> None:
        self._files: dict[str, bytearray] = {}

    def storage(self) -> Storage:
        """See contract.Place."""
        return PieceStorage(self._files)

    def settle(self) -> None:
        """See contract.Place."""


class TestLocalStorage(StorageContract):
    """A directory of this machine."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        """A directory of the test."""
        return Directory(tmp_path / "data")


class TestLocalParts(PartsContract):
    """Parts in a directory of this machine."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        """A directory of the test."""
        return Directory(tmp_path / "data")


class TestPieceStorage(StorageContract):
    """A store of whole pieces, without any capability."""

    @pytest.fixture
    def place(self) -> Place:
        """An empty store."""
        return Pieces()
