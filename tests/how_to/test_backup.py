"""docs/how-to/backup.md: its commands, for a server that is stopped, copied, lost and restored elsewhere."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

from tests.support.app import ScriptedApp
from tests.support.client_v1 import ClientV1
from tests.support.client_v2 import ClientV2
from tests.support.data import MIB, FileBytes
from tests.support.server import ROOT, RunningServer, new_upload
from tests.support.tools import program
from tests.test_docs import code_blocks

PAGE: Final = ROOT / "docs/how-to/backup.md"
PARENT: Final = "/var/lib"
BACKUP: Final = "/backup/incoming.tar"


def carry_out(holds: str, parent: Path, backup: Path) -> None:
    """Carries out a block of the page, in other folders, without the lines that are for systemd."""
    (block,) = [code for code in code_blocks(PAGE, "sh") if holds in code]
    lines = [line for line in block.splitlines() if not line.startswith("systemctl ")]
    assert lines
    script = "\n".join(lines).replace(PARENT, str(parent)).replace(BACKUP, str(backup))
    done = subprocess.run([program("bash"), "-euc", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_uploads_and_tickets_continue_where_a_backup_is_restored(app: ScriptedApp, tmp_path: Path) -> None:
    here, there, backup = tmp_path / "here", tmp_path / "there", tmp_path / "backup.tar"
    here.mkdir()
    there.mkdir()
    with RunningServer(here / "incoming") as server:
        unused = new_upload(server, app.url)
        old = ClientV1(server.url, new_upload(server, app.url), FileBytes(24 * MIB, 3)).open()
        old.send_until_acked(12 * MIB)
        new = ClientV2(server.url, new_upload(server, app.url), FileBytes(24 * MIB, 4)).open()
        new.send_until_stored(12 * MIB)
        assert server.terminate() == 0
    carry_out("--create", here, backup)
    shutil.rmtree(here)

    carry_out("--extract", there, backup)
    with RunningServer(there / "incoming") as restored:
        unfinished = [
            ClientV1(restored.url, old.ticket_id, old.data),
            ClientV2(restored.url, new.ticket_id, new.data),
        ]
        for client in unfinished:
            client.upload()
            assert client.resumed_at[0] >= 12 * MIB, "at the stored byte, and not at the first one"
            assert app.about(client.ticket_id)[0].sha256 == client.data.sha256
        late = ClientV1(restored.url, unused, FileBytes(MIB, 5))
        late.upload()
        assert app.about(unused)[0].sha256 == late.data.sha256
        assert not re.search("WARNING|ERROR", restored.log_text()), restored.log_text()
    assert (there / "incoming/journal").stat().st_mode & 0o777 == 0o700
