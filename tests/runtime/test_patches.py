"""What is patched, and the plug-ins of gevent that other packages bring. In processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.server import ROOT

SCRIPT = """
from importlib import metadata
reads, read = [], metadata.entry_points
metadata.entry_points = lambda **of: reads.append(of) or read(**of)
from incoming.runtime import patches
patches.patch_all()
import socket, gevent.socket
print(socket.socket is gevent.socket.socket, len(reads) == 1)
"""


@pytest.mark.parametrize(
    ("group", "said"),
    [
        ("", ["True True"]),
        ("gevent.plugins.monkey.did_patch_all", ["told", "True True"]),
        ("gevent.plugins.monkey.will_patch_all", ["told", "True True"]),
    ],
)
def test_all_is_patched_and_the_plugins_of_gevent_are_searched_for_once_and_called(
    group: str, said: list[str], tmp_path: Path
) -> None:
    if group:
        (tmp_path / "a_plugin.py").write_text("def told(event):\n    print('told')\n", "utf-8")
        about = tmp_path / "a_plugin-1.dist-info"
        about.mkdir()
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: a-plugin\nVersion: 1\n", "utf-8")
        (about / "entry_points.txt").write_text(f"[{group}]\nplugin = a_plugin:told\n", "utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT)))}
    output = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert output.split("\n")[:-1] == said
