"""Which real S3 server the tests run with: SeaweedFS, or what INCOMING_TEST_S3 says."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from tests.support.ceph import Ceph
from tests.support.s3_server import S3Server

STORES: Final[dict[str, type[S3Server]]] = {"ceph": Ceph, "seaweedfs": S3Server}


def new_s3_server(folder: Path) -> S3Server:
    """Returns a server that has its files in `folder`."""
    return STORES[os.environ.get("INCOMING_TEST_S3", "seaweedfs")](folder)
