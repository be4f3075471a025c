"""What `incoming serve` does beside serving."""

from __future__ import annotations

from pathlib import Path

from tests.support.server import RunningServer


class ModestServer(RunningServer):
    """One that a shell with a low limit of open files has started."""

    def _command(self) -> list[str]:
        return ["sh", "-c", 'ulimit -Sn 256; exec "$0" "$@"', *super()._command()]


def test_the_server_may_open_as_many_files_as_the_hard_limit_says(tmp_path: Path) -> None:
    with ModestServer(tmp_path / "storage") as server:
        limits = Path(f"/proc/{server.pid}/limits").read_text().splitlines()
    soft, hard = next(line.split()[3:5] for line in limits if line.startswith("Max open files"))
    assert soft == hard != "256"
