"""The files of deploy/monitoring and the rotation of the log: `make operators` runs them for real."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import requests
import yaml

from tests.conftest import StartServer
from tests.support.app import Reply, ScriptedApp
from tests.support.client_v1 import ClientV1
from tests.support.data import MIB, FileBytes
from tests.support.ports import free_port
from tests.support.server import ROOT, RunningServer, new_upload
from tests.support.tools import program
from tests.support.upload_client import UploadError
from tests.support.waiting import wait_until

MONITORING: Final = ROOT / "deploy/monitoring"
RULES: Final[list[dict[str, Any]]] = [
    rule
    for group in yaml.safe_load((MONITORING / "alerts.yml").read_text("utf-8"))["groups"]
    for rule in group["rules"]
]
DASHBOARD: Final[dict[str, Any]] = json.loads((MONITORING / "grafana.json").read_text("utf-8"))
QUERIES: Final[list[str]] = [
    target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())
]
PAGE: Final = (ROOT / "docs/how-to/monitoring.md").read_text("utf-8")
METRICS: Final = (ROOT / "docs/reference/metrics.md").read_text("utf-8")
METRIC: Final = re.compile(r"\b(?:incoming|process)_[a-z_]+\b")
DEADLINE_S: Final = 60.0

for_real = pytest.mark.skipif(
    not os.environ.get("INCOMING_TEST_OPERATORS"), reason="make operators installs Prometheus and logrotate"
)


def known(metric: str) -> bool:
    """Returns whether docs/reference/metrics.md has it; a histogram is several metrics."""
    return re.search(rf"`{metric.removesuffix('_bucket')}[`{{]", METRICS) is not None


def test_each_alert_has_a_severity_a_summary_and_a_row_that_says_what_to_do() -> None:
    rows = re.findall(r"^\| (Incoming\w+(?:, Incoming\w+)*) \|", PAGE, re.MULTILINE)
    assert {name for row in rows for name in row.split(", ")} == {rule["alert"] for rule in RULES}
    for rule in RULES:
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"].endswith(".")


@pytest.mark.parametrize("query", [*QUERIES, *(rule["expr"] for rule in RULES)])
def test_each_query_is_about_metrics_that_there_are(query: str) -> None:
    names = set(METRIC.findall(query)) - {"process_id"}
    assert names or "up{" in query
    assert {name for name in names if not known(name)} == set()


def test_no_two_panels_of_the_dashboard_are_at_the_same_place() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}  # fmt: skip
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


class Prometheus:
    """A real Prometheus with the shipped files, which asks a server every second."""

    def __init__(self, url: str) -> None:
        self._url = url

    def get(self, route: str, **parameters: str) -> Any:
        """Returns what its API answers."""
        answer = requests.get(f"{self._url}/api/v1/{route}", params=parameters, timeout=60)
        assert answer.ok, answer.text
        return answer.json()["data"]

    def value(self, query: str) -> float | None:
        """Returns the first value that a query has; None without one."""
        found = self.get("query", query=query)["result"]
        return float(found[0]["value"][1]) if found else None

    def firing(self) -> set[str]:
        """Returns the names of the alerts that fire."""
        alerts = self.get("alerts")["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}


@contextmanager
def running_prometheus(folder: Path, server: RunningServer) -> Iterator[Prometheus]:
    shutil.copytree(MONITORING, folder)
    config = folder / "prometheus.yml"
    text = config.read_text("utf-8").replace("127.0.0.1:4000", f"127.0.0.1:{server.port}")
    config.write_text(f"global: {{evaluation_interval: 1s}}\n{text.replace('15s', '1s')}")
    port = free_port()
    options = (f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}")
    command = [program("prometheus"), *options, f"--web.listen-address=127.0.0.1:{port}"]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            prometheus = Prometheus(f"http://127.0.0.1:{port}")

            def ready() -> bool:
                assert process.poll() is None, (folder / "log").read_text()
                try:
                    return requests.get(f"http://127.0.0.1:{port}/-/ready", timeout=60).ok
                except requests.ConnectionError:
                    return False

            wait_until(ready, "Prometheus is ready", DEADLINE_S)
            yield prometheus
        finally:
            process.kill()


@for_real
def test_promtool_accepts_the_rules_and_the_configuration() -> None:
    for words in (("check", "rules", "alerts.yml"), ("check", "config", "prometheus.yml")):
        done = subprocess.run(
            [program("promtool"), *words], cwd=MONITORING, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"{len(RULES)} rules found" in done.stdout


@for_real
def test_a_real_prometheus_scrapes_the_server_answers_each_query_and_fires_for_a_refused_file(
    start_server: StartServer, app: ScriptedApp, tmp_path: Path
) -> None:
    server = start_server()
    with running_prometheus(tmp_path / "prometheus", server) as prometheus:
        wait_until(lambda: prometheus.value('up{job="incoming"}') == 1, "it has asked the server", DEADLINE_S)
        loaded = [rule["name"] for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
        assert sorted(loaded) == sorted(rule["alert"] for rule in RULES)
        app.answers = [Reply(410, "no")]
        client = ClientV1(server.url, new_upload(server, app.url), FileBytes(MIB))
        with pytest.raises(UploadError):
            client.upload()
        wait_until(lambda: "IncomingHandoverFailed" in prometheus.firing(), "the alert fires", DEADLINE_S)
        assert prometheus.firing() <= {"IncomingHandoverFailed", "IncomingDiskFull"}
        stored = "sum(increase(incoming_stored_bytes_total[1m]))"
        wait_until(lambda: (prometheus.value(stored) or 0) > 0, "the throughput is known", DEADLINE_S)
        empty = [query for query in QUERIES if prometheus.value(query) is None]
        assert all(re.search("instances|store_|parts_", query) for query in empty), empty
        for rule in RULES:
            prometheus.get("query", query=rule["expr"])


@for_real
def test_a_log_in_a_file_is_rotated_while_the_server_writes_to_it(
    start_server: StartServer, tmp_path: Path
) -> None:
    log, config = tmp_path / "incoming.log", tmp_path / "logrotate.conf"
    shipped = (ROOT / "deploy/logrotate.conf").read_text("utf-8")
    config.write_text(shipped.replace("/var/log/incoming.log", str(log)))
    config.chmod(0o644)
    server = RunningServer(tmp_path / "storage", log)
    with server:
        for number in range(3):
            new_upload(server, "http://localhost:1/arrived")
            before = log.read_text()
            assert before
            done = subprocess.run(
                [program("logrotate", "/usr/sbin/logrotate"), "-f", "--state", tmp_path / "state", config],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            assert (tmp_path / "incoming.log.1").read_text() == before, number
            assert log.stat().st_size == 0
    assert "\0" not in log.read_text(), "no hole where the old lines were"
