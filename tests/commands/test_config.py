"""`incoming config`: the settings in force, and where each comes from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from incoming.commands.config import config
from incoming.commands.setting_options import config_path
from incoming.settings import load
from tests.support.server import ROOT
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


def test_a_password_in_an_address_is_never_shown() -> None:
    address = "rediss://incoming:sesame@redis.example.org/1"
    for form in ((), ("--json",)):
        done = run("config", *form, "--registry", address)
        assert "sesame" not in done.stdout
        assert "rediss://incoming:(set)@redis.example.org/1" in done.stdout


def test_a_bad_setting_is_refused_with_its_name() -> None:
    done = run("config", "--port", "x")
    assert (done.returncode, done.stderr) == (1, "port (--port): 'x' is not a whole number\n")


def test_without_a_name_the_default_file_is_read_if_it_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(load.CONFIG_VARIABLE, raising=False)
    default = tmp_path / "etc.toml"
    monkeypatch.setattr(load, "DEFAULT_CONFIG", str(default))
    assert config_path(None) is None
    default.write_text("port = 4321\n")
    shown = {words: CliRunner().invoke(config, [*words, "--json"]).output for words in ((), ("--config", ""))}
    assert json.loads(shown[()])["port"] == {"value": 4321, "source": str(default)}
    assert json.loads(shown["--config", ""])["port"]["source"] == "default"
    assert config_path("other.toml") == "other.toml"


def test_the_source_tree_does_not_read_the_file_of_an_installed_server() -> None:
    said_at_its_end = "import atexit, os; atexit.register(lambda: print(os.environ['INCOMING_CONFIG']))"
    script = "import runpy, sys; sys.argv = ['run.py', '--version']"
    code = f"{said_at_its_end}; {script}; runpy.run_path('run.py', run_name='__main__')"
    environment = {name: value for name, value in os.environ.items() if name != load.CONFIG_VARIABLE}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == os.devnull, done.stderr
