"""Each file of deploy/ as it is shipped, in an environment with nothing else, and whether they agree."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from configparser import RawConfigParser
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import requests

from tests.support.app import ScriptedApp
from tests.support.client_v1 import ClientV1
from tests.support.data import MIB, FileBytes
from tests.support.installed import Installed
from tests.support.ports import free_port
from tests.support.server import ROOT
from tests.support.tools import program
from tests.support.waiting import wait_until

DEPLOY: Final = ROOT / "deploy"
DOCS: Final = "".join(page.read_text("utf-8") for page in (ROOT / "docs/how-to").glob("*.md"))
TESTED: Final = {
    "gunicorn.conf.py", "incoming.service", "incoming.socket", "incoming.toml", "nginx.conf", "sysusers.conf",
    "uwsgi.ini",
    *("compose/app.py", "compose/nginx.conf", "compose/nginx.scale.conf"),
    *("kubernetes/one-server.yaml", "kubernetes/two-servers.yaml"),
    *("logrotate.conf", "monitoring/alerts.yml", "monitoring/grafana.json", "monitoring/prometheus.yml"),
    "tmpfiles.conf",
}  # fmt: skip
"""Some are tested elsewhere: in test_nginx, test_image, test_container_files and test_monitoring."""
DEADLINE_S: Final = 60.0


def run(*words: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end."""
    return subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, check=False, timeout=300, **options
    )


def unit(name: str) -> RawConfigParser:
    """Returns a unit file of systemd's; of keys that come several times, the last one."""
    parser = RawConfigParser(strict=False, delimiters=("=",), comment_prefixes=("#",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(DEPLOY / name)
    return parser


def shipped_settings() -> dict[str, Any]:
    return tomllib.loads((DEPLOY / "incoming.toml").read_text("utf-8"))


def test_every_shipped_file_is_tested_and_in_the_docs() -> None:
    shipped = {str(path.relative_to(DEPLOY)) for path in DEPLOY.rglob("*") if path.is_file()}
    assert {name for name in shipped if "__pycache__" not in name} == TESTED
    for name in TESTED:
        assert f"(../../deploy/{name})" in DOCS


# --- they agree ----------------------------------------------------------------------------------------


def test_the_service_the_settings_and_the_folder_are_the_same_everywhere() -> None:
    service = unit("incoming.service")["Service"]
    assert service["Environment"] == "INCOMING_CONFIG=/etc/incoming.toml"
    assert not re.search(r"--(storage-dir|config|host|port)", service["ExecStart"]), "only in incoming.toml"
    assert shipped_settings()["storage_dir"] == f"/var/lib/{service['StateDirectory']}"
    assert "env = INCOMING_CONFIG=/etc/incoming.toml" in (DEPLOY / "uwsgi.ini").read_text()
    users = (DEPLOY / "sysusers.conf").read_text()
    assert re.search(rf"^u +{service['User']} .* /var/lib/{service['StateDirectory']}$", users, re.MULTILINE)
    assert re.search(rf"^g +{service['Group']} ", users, re.MULTILINE)


def test_all_of_them_listen_on_this_machine_only_at_the_port_that_the_proxy_asks() -> None:
    address = "127.0.0.1:4000"
    assert unit("incoming.socket")["Socket"]["ListenStream"] == address
    assert f"http-socket = {address}" in (DEPLOY / "uwsgi.ini").read_text()
    assert f'bind = "{address}"' in (DEPLOY / "gunicorn.conf.py").read_text()
    assert f"server {address};" in (DEPLOY / "nginx.conf").read_text()


# --- systemd -------------------------------------------------------------------------------------------


def test_the_users_are_made_by_the_shipped_file(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    sysusers = program("systemd-sysusers")
    done = run(sysusers, f"--root={tmp_path}", DEPLOY / "sysusers.conf")
    assert (done.returncode, "error" in done.stderr.lower()) == (0, False), done.stderr
    (user,) = [x for x in (tmp_path / "etc/passwd").read_text().splitlines() if x.startswith("incoming:")]
    assert user.endswith(":/var/lib/incoming:/usr/sbin/nologin")
    (group,) = [x for x in (tmp_path / "etc/group").read_text().splitlines() if x.startswith("uploads:")]
    assert group.endswith(":incoming")


def test_the_folder_is_made_for_the_group_and_only_that_group_reads_the_settings(tmp_path: Path) -> None:
    for name in ("etc", "var/lib"):
        (tmp_path / name).mkdir(parents=True)
    made = run(program("systemd-sysusers"), f"--root={tmp_path}", DEPLOY / "sysusers.conf")
    assert made.returncode == 0, made.stderr
    settings = tmp_path / "etc/incoming.toml"
    settings.write_text("")
    done = run(program("systemd-tmpfiles"), f"--root={tmp_path}", "--create", DEPLOY / "tmpfiles.conf")
    assert (done.returncode, done.stderr) == (0, "")
    folder = tmp_path / "var/lib/incoming"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o2770
    assert stat.S_IMODE(settings.stat().st_mode) == 0o640
    groups = dict(re.findall(r"^(\w+):x:(\d+):", (tmp_path / "etc/group").read_text(), re.MULTILINE))
    assert {folder.stat().st_gid, settings.stat().st_gid} == {int(groups["uploads"])}


def test_the_documented_commands_make_the_same_users(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    for name in ("passwd", "group", "shadow", "gshadow"):
        (tmp_path / "etc" / name).touch()
    for name in ("groupadd", "useradd"):
        (command,) = re.findall(rf"^    ({name} .*)$", DOCS, re.MULTILINE)
        words = command.split()
        done = run(program(words[0]), "--prefix", tmp_path, *words[1:])
        assert done.returncode == 0, done.stderr
    (user,) = (tmp_path / "etc/passwd").read_text().splitlines()
    assert user.startswith("incoming:")
    assert user.endswith(":/var/lib/incoming:/usr/sbin/nologin")
    groups = {line.split(":")[0]: line for line in (tmp_path / "etc/group").read_text().splitlines()}
    assert set(groups) == {"incoming", "uploads"}
    assert groups["uploads"].endswith(":incoming")


def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    for name in ("incoming.service", "incoming.socket"):
        text = (DEPLOY / name).read_text()
        (tmp_path / name).write_text(text.replace("/opt/incoming/bin/incoming", sys.executable))
    verified = run(program("systemd-analyze"), "verify", "--man=no", *sorted(tmp_path.iterdir()))
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")


@contextmanager
def as_a_service(command: Path, folder: Path, **more: str) -> Iterator[tuple[str, dict[str, str], Path]]:
    """Starts what the unit starts, with its environment and the socket of incoming.socket, at another port.

    Yields the address, the environment and the file with what it has said.
    """
    config = folder / "incoming.toml"
    toml = (DEPLOY / "incoming.toml").read_text().replace("/var/lib/incoming", str(folder / "storage"))
    log = folder / "log"
    host, _, _ = unit("incoming.socket")["Socket"]["ListenStream"].partition(":")
    service = unit("incoming.service")["Service"]
    words = service["ExecStart"].replace("/opt/incoming/bin/incoming", str(command)).split()
    variable, _, file = service["Environment"].partition("=")
    assert (variable, file) == ("INCOMING_CONFIG", "/etc/incoming.toml")
    with socket.create_server((host, 0)) as listener:
        port = listener.getsockname()[1]
        config.write_text(toml)
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("INCOMING_", "PYTHON"))}
        env = inherited | {variable: str(config)} | more
        shell = f'exec 3<&{listener.fileno()}; export LISTEN_PID=$$ LISTEN_FDS=1; exec "$0" "$@"'
        with log.open("w") as output, subprocess.Popen(
            ["bash", "-c", shell, *words], env=env, cwd=folder, pass_fds=[listener.fileno()],
            stdout=output, stderr=output,
        ) as process:  # fmt: skip
            try:
                wait_until(lambda: "listens on" in log.read_text(), "it is ready")
                yield f"http://{host}:{port}", env, log
            finally:
                process.kill()


def new_upload(url: str, finish_url: str) -> str:
    answer = requests.post(
        f"{url}/incoming/backend/new_upload", {"signalFinishURL": finish_url}, timeout=DEADLINE_S
    )
    assert answer.ok, answer.text
    return answer.text


@pytest.fixture
def clean(installed: Installed) -> Path:
    """The `bin` of an environment that has the package and nothing else."""
    return installed.bin


def test_the_service_takes_an_upload_and_the_operator_finds_it_with_the_same_setting(
    clean: Path, tmp_path: Path, app: ScriptedApp
) -> None:
    with as_a_service(clean / "incoming", tmp_path) as (url, env, log):
        ticket_id = new_upload(url, app.url)
        client = ClientV1(url, new_upload(url, app.url), FileBytes(MIB, 1))
        client.upload()
        assert app.about(client.ticket_id)[0].sha256 == client.data.sha256
        env["INCOMING_PORT"] = url.rpartition(":")[2]  # in reality it is 4000, as it is unless one says so
        listed = run(clean / "incoming", "uploads", env=env, cwd="/")
        assert (listed.returncode, ticket_id[:8] in listed.stdout) == (0, True), listed.stderr
        cancelled = run(clean / "incoming", "cancel", ticket_id[:8], env=env, cwd="/")
        assert (cancelled.returncode, cancelled.stdout) == (0, "Cancelled.\n"), cancelled.stderr
        assert "is not a setting" not in log.read_text()
        assert "is ignored" not in log.read_text()


def test_a_host_that_does_not_count_beside_an_inherited_socket_is_said(clean: Path, tmp_path: Path) -> None:
    with as_a_service(clean / "incoming", tmp_path, INCOMING_HOST="0.0.0.0") as (url, _, log):
        address = url.removeprefix("http://")
        why = f"it was started with a listening socket, {address}"
        warning = f"the setting host (INCOMING_HOST) is ignored: {why}"
        assert warning in log.read_text()
        assert f"listens on {url}\n" in log.read_text(), "where it does listen"


@pytest.mark.parametrize("program_name", ["gunicorn", "uwsgi"])
def test_a_web_server_of_a_clean_environment_runs_it_with_the_shipped_file(
    clean: Path, tmp_path: Path, app: ScriptedApp, program_name: str
) -> None:
    port = free_port()
    name = {"gunicorn": "gunicorn.conf.py", "uwsgi": "uwsgi.ini"}[program_name]
    file, config = tmp_path / name, tmp_path / "incoming.toml"
    settings = (DEPLOY / "incoming.toml").read_text().replace("/var/lib/incoming", str(tmp_path / "storage"))
    config.write_text(f'{settings}host = "0.0.0.0"\n')
    file.write_text(
        (DEPLOY / name).read_text().replace(":4000", f":{port}").replace("/etc/incoming.toml", str(config))
    )
    words = {
        "gunicorn": ["--config", str(file), "--no-control-socket", "incoming.wsgi:application"],
        "uwsgi": ["--ini", str(file), "--virtualenv", str(clean.parent)],
    }
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("INCOMING_", "PYTHON"))}
    env = inherited | ({"INCOMING_CONFIG": str(config)} if program_name == "gunicorn" else {})
    log = tmp_path / "log"
    with log.open("w") as output, subprocess.Popen(
        [str(clean / program_name), *words[program_name]], env=env, cwd=tmp_path, stdout=output,
        stderr=output, start_new_session=True,
    ) as process:  # fmt: skip
        try:

            def answers() -> bool:
                assert process.poll() is None, log.read_text()
                try:
                    return requests.get(f"http://127.0.0.1:{port}/incoming/healthz", timeout=60).ok
                except requests.ConnectionError:
                    return False

            wait_until(answers, "it serves")
            url = f"http://127.0.0.1:{port}"
            client = ClientV1(url, new_upload(url, app.url), FileBytes(MIB, 2))
            client.upload()
            assert app.about(client.ticket_id)[0].sha256 == client.data.sha256
        finally:
            os.killpg(process.pid, signal.SIGKILL)
    assert (tmp_path / "storage/journal").is_dir(), "where the shipped settings say"
    assert "the setting host (configuration file) is ignored" in log.read_text()
