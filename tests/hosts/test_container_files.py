"""The files for containers agree with each other and with the server.

tests/hosts/test_image.py runs the image and both compose files.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from incoming.settings import load
from incoming.settings.table import Settings
from tests.support.server import ROOT

DOCKERFILE: Final = (ROOT / "Dockerfile").read_text("utf-8")
COMPOSE: Final = [ROOT / "compose.yaml", ROOT / "compose.scale.yaml"]
MANIFESTS: Final = sorted((ROOT / "deploy/kubernetes").glob("*.yaml"))
STORAGE_DIR: Final = "/var/lib/incoming"
HEALTH: Final = "/incoming/healthz"
every_compose_file = pytest.mark.parametrize("file", COMPOSE, ids=lambda path: path.name)
every_manifest = pytest.mark.parametrize("file", MANIFESTS, ids=lambda path: path.name)


def services(file: Path) -> dict[str, dict[str, Any]]:
    """Returns the services of a compose file."""
    found: dict[str, dict[str, Any]] = yaml.safe_load(file.read_text("utf-8"))["services"]
    return found


def objects(file: Path) -> dict[str, dict[str, Any]]:
    """Returns {kind: object} of a file of manifests."""
    return {one["kind"]: one for one in yaml.safe_load_all(file.read_text("utf-8"))}


def pod(file: Path) -> dict[str, Any]:
    spec: dict[str, Any] = objects(file)["Deployment"]["spec"]["template"]["spec"]
    return spec


def check_settings(environment: dict[str, Any]) -> Settings:
    """Checks that variables for the server are settings with valid values."""
    prefix = load.ENVIRONMENT_PREFIX
    ours = {name: str(value) for name, value in environment.items() if name.startswith(prefix)}
    assert load.unknown_variables(ours) == []
    return load.resolve({}, ours, {})


# --- Dockerfile ----------------------------------------------------------------------------------------


def test_the_image_keeps_its_uploads_in_the_volume_and_serves_at_the_usual_port() -> None:
    assert f"INCOMING_STORAGE_DIR={STORAGE_DIR}" in DOCKERFILE
    assert f"VOLUME {STORAGE_DIR}" in DOCKERFILE
    assert f"EXPOSE {Settings().port}" in DOCKERFILE
    assert HEALTH in DOCKERFILE


def test_what_the_image_is_built_from_is_let_in_and_nothing_that_was_uploaded() -> None:
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    allowed = {line[1:] for line in ignored if line.startswith("!")}
    assert "*" in ignored
    assert {"incoming", "static", "examples", "setup.py", "requirements.txt"} <= allowed
    assert all((ROOT / name).exists() for name in allowed)
    assert "**/uploads" in ignored


# --- compose -------------------------------------------------------------------------------------------


@every_compose_file
def test_each_variable_of_a_compose_file_is_a_setting(file: Path) -> None:
    for service in services(file).values():
        if "entrypoint" not in service:
            check_settings(service.get("environment", {}))


@every_compose_file
def test_our_containers_are_read_only_without_rights_and_have_time_to_stop(file: Path) -> None:
    for name, service in services(file).items():
        if service["image"] == "incoming":
            assert service["read_only"] is True
            assert service["cap_drop"] == ["ALL"]
            assert service["security_opt"] == ["no-new-privileges:true"]
        if name.startswith("incoming"):
            assert int(service["stop_grace_period"].removesuffix("s")) > Settings().stop_timeout_s


@every_compose_file
def test_our_image_is_built_and_never_pulled(file: Path) -> None:
    for service in services(file).values():
        if service["image"] == "incoming":
            assert ("build" in service) != (service.get("pull_policy") == "never")


@every_compose_file
def test_only_nginx_can_be_reached_from_outside_and_only_from_this_machine(file: Path) -> None:
    published = {name: service["ports"] for name, service in services(file).items() if "ports" in service}
    assert set(published) == {"nginx"}
    assert all(port.startswith("127.0.0.1:") for port in published["nginx"])


@every_compose_file
def test_each_file_that_is_mounted_is_there(file: Path) -> None:
    for service in services(file).values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert not source.startswith(".") or (ROOT / source).is_file(), source


@every_compose_file
def test_a_compose_file_has_the_form_of_the_specification(file: Path) -> None:
    pytest.importorskip("check_jsonschema", reason="make release installs it")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# --- Kubernetes ----------------------------------------------------------------------------------------


@every_manifest
def test_each_variable_of_a_manifest_is_a_setting(file: Path) -> None:
    (container,) = pod(file)["containers"]
    examples = {"INCOMING_REGISTRY": objects(file)["Secret"]["stringData"].get("registry", "")}
    variables = {one["name"]: one.get("value", examples.get(one["name"], "text")) for one in container["env"]}
    check_settings(variables)
    keys = {one["valueFrom"]["secretKeyRef"]["key"] for one in container["env"] if "secretKeyRef" in str(one)}
    assert keys == set(objects(file)["Secret"]["stringData"])


@every_manifest
def test_kubernetes_sets_no_variable_that_the_server_takes_for_a_setting(file: Path) -> None:
    assert objects(file)["Service"]["metadata"]["name"] == "incoming", "so INCOMING_PORT would be its address"
    assert pod(file)["enableServiceLinks"] is False


@every_manifest
def test_a_pod_is_ready_while_it_is_healthy_and_is_not_restarted_for_a_full_disk(file: Path) -> None:
    (container,) = pod(file)["containers"]
    for probe in ("startupProbe", "readinessProbe"):
        assert container[probe]["httpGet"] == {"path": HEALTH, "port": "http"}
    assert container["livenessProbe"]["httpGet"]["path"] == "/incoming/frontend/incoming.js"
    assert pod(file)["terminationGracePeriodSeconds"] > Settings().stop_timeout_s


@every_manifest
def test_a_pod_runs_as_the_user_of_the_image_without_rights(file: Path) -> None:
    (user, group) = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)[0]
    security = pod(file)["securityContext"]
    assert (security["runAsUser"], security["runAsGroup"]) == (int(user), int(group))
    (container,) = pod(file)["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["ports"] == [{"name": "http", "containerPort": Settings().port}]


@every_manifest
def test_the_service_and_the_budget_are_about_the_pods_of_the_deployment(file: Path) -> None:
    found = objects(file)
    labels = found["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert found["Service"]["spec"]["selector"] == labels
    assert found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert found["Deployment"]["spec"]["selector"]["matchLabels"] == labels


def test_one_server_with_a_disk_is_replaced_only_when_it_has_ended() -> None:
    (file,) = (path for path in MANIFESTS if path.name == "one-server.yaml")
    deployment = objects(file)["Deployment"]["spec"]
    assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})
    (container,) = pod(file)["containers"]
    assert {"name": "uploads", "mountPath": STORAGE_DIR} in container["volumeMounts"]


@every_manifest
def test_a_manifest_has_the_form_that_kubernetes_accepts(file: Path) -> None:
    pytest.importorskip("kubernetes_validate", reason="make release installs it")
    command = [str(Path(sys.executable).with_name("kubernetes-validate")), "--strict", str(file)]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
