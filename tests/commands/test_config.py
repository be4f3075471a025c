"""`incoming config`: the settings in force, and where each comes from."""

from __future__ import annotations

import json
from pathlib import Path

from tests.test_cli import run


def test_each_setting_is_shown_with_its_source(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("port = 4100\nfsync = false\nallowed_backends = ['10.0.0.0/8', '::1']\n")
    done = run("config", "--config", "a.toml", "--port", "4200", cwd=tmp_path, INCOMING_SEND_AHEAD="3")
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}
    assert rows["port"] == ["4200", "--port"]
    assert rows["fsync"] == ["no", "a.toml"]
    assert rows["allowed_backends"] == ["10.0.0.0/8,::1", "a.toml"]
    assert rows["send_ahead"] == ["3", "INCOMING_SEND_AHEAD"]
    assert rows["host"] == ["0.0.0.0", "default"]


def test_only_what_was_changed_is_shown_when_asked_for() -> None:
    done = run("config", "--changed", "--json", "--max-upload-bytes", "5")
    assert json.loads(done.stdout) == {"max_upload_bytes": {"value": 5, "source": "--max-upload-bytes"}}


def test_a_secret_is_never_shown() -> None:
    for form in ((), ("--json",)):
        done = run("config", *form, "--backend-token", "sesame")
        assert "sesame" not in done.stdout
        assert "(set)" in done.stdout


def test_a_bad_setting_is_refused_with_its_name() -> None:
    done = run("config", "--port", "x")
    assert (done.returncode, done.stderr) == (1, "port (--port): 'x' is not a whole number\n")
