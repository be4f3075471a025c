"""The image and both compose files, run without a container engine: `make image` builds it first.

The root file system of the image is unpacked, and each service runs in a chroot with namespaces of its own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import requests

from tests.net.namespaces import why_not
from tests.support.client_v1 import ClientV1
from tests.support.containers import Image, Project
from tests.support.data import MIB, FileBytes
from tests.support.server import ROOT
from tests.support.waiting import wait_until

FOLDER: Final = os.environ.get("INCOMING_TEST_IMAGE", "")
MAX_IMAGE_MB: Final = 270
DEADLINE_S: Final = 60.0

pytestmark = pytest.mark.skipif(not FOLDER or bool(why_not()), reason="make image builds it, as root")


@pytest.fixture(scope="module")
def image() -> Image:
    return Image(Path(FOLDER))


@pytest.fixture(scope="module")
def one_server(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Project, Path]]:
    """compose.yaml, up, and the folder with its volumes."""
    folder = tmp_path_factory.mktemp("one")
    with Project(ROOT / "compose.yaml", image, folder, PUBLIC_HOST="localhost:8080") as project:
        yield project, folder


def site(project: Project) -> str:
    """Returns the address that browsers use, when the app answers there."""
    url = f"http://{project['nginx'].address}:8080"

    def answers() -> bool:
        assert all(one.runs for name, one in project.containers.items() if name != "bucket")
        try:
            return requests.get(url, timeout=60).ok
        except requests.ConnectionError:
            return False

    wait_until(answers, "the app answers through nginx", DEADLINE_S)
    return url


def test_the_image_runs_as_a_user_without_rights_and_names_its_volume_port_and_signal(image: Image) -> None:
    assert all(number > 0 for number in image.user)
    assert set(image.config["Volumes"]) == {"/var/lib/incoming"}
    assert set(image.config["ExposedPorts"]) == {"4000/tcp"}
    assert image.config["StopSignal"] == "SIGTERM"
    assert image.config["Entrypoint"] == ["incoming"]


def test_the_image_has_nothing_that_only_builds_or_tests_need(image: Image) -> None:
    names = {path.name for path in (image.rootfs / "opt/incoming/bin").iterdir()}
    assert "incoming" in names
    assert not names & {"pip", "weed", "pytest", "gunicorn", "uwsgi"}
    packages = next((image.rootfs / "opt/incoming/lib").glob("python3*/site-packages"))
    assert {"redis", "botocore", "incoming"} <= {path.name for path in packages.iterdir()}
    assert not list(packages.glob("seaweedfs*"))
    size_bytes = sum(
        path.lstat().st_size for path in image.rootfs.rglob("*") if path.is_file() and not path.is_symlink()
    )
    assert size_bytes < MAX_IMAGE_MB * 1_000_000
    print(f"\nthe image has {size_bytes / 1e6:.0f} MB")


def test_nothing_in_the_image_is_writable_for_its_user_but_the_volume_and_tmp(image: Image) -> None:
    user, group = image.user
    writable = {
        f"/{path.relative_to(image.rootfs)}"
        for top in ("etc", "opt", "usr", "var")
        for path in (image.rootfs / top).rglob("*")
        if not path.is_symlink() and (path.lstat().st_uid == user or path.lstat().st_gid == group)
    }
    assert {name for name in writable if not name.startswith("/var/lib/incoming")} == set()


def test_an_upload_through_nginx_survives_a_stop_of_the_container_and_the_app_gets_the_file(
    one_server: tuple[Project, Path],
) -> None:
    project, folder = one_server
    url = site(project)
    assert "localhost:8080" in requests.get(url, timeout=DEADLINE_S).text
    ticket = requests.post(f"{url}/api/frontend/request_upload", {"path": "holiday.mov"}, timeout=DEADLINE_S)
    assert ticket.ok, project["app"].log
    client = ClientV1(url, ticket.text, FileBytes(32 * MIB, 7))
    client.open().send_until_acked(8 * MIB)
    incoming = project["incoming"]
    assert incoming.stop() == 0, incoming.log
    assert "Traceback" not in incoming.log
    incoming.start()
    wait_until(incoming.healthy, "it is healthy again", DEADLINE_S)
    client.upload()
    kept = folder / "volumes/uploads/example-app/holiday.mov"
    assert kept.read_bytes() == b"".join(client.data.blocks())


def test_strangers_reach_no_backend_route_through_nginx(one_server: tuple[Project, Path]) -> None:
    project, _ = one_server
    url = f"{site(project)}/incoming"
    for route in ("backend/new_upload", "status", "metrics", "backend/uploads"):
        assert requests.get(f"{url}/{route}", timeout=DEADLINE_S).status_code == 404


def test_the_container_is_unhealthy_while_it_can_not_store(one_server: tuple[Project, Path]) -> None:
    project, folder = one_server
    incoming = project["incoming"]
    assert incoming.healthy()
    data = folder / "volumes/uploads/data"
    data.rename(data.with_name("elsewhere"))
    wait_until(lambda: not incoming.healthy(), "it says so", DEADLINE_S)
    data.with_name("elsewhere").rename(data)
    wait_until(incoming.healthy, "it is well again", DEADLINE_S)


def test_two_servers_resume_each_others_uploads_when_one_is_killed(image: Image, tmp_path: Path) -> None:
    with Project(ROOT / "compose.scale.yaml", image, tmp_path) as project:
        url = site(project)
        ticket = requests.post(f"{url}/ticket", timeout=DEADLINE_S)
        assert ticket.ok, project["app"].log
        client = ClientV1(url, ticket.text, FileBytes(48 * MIB, 8))
        client.open().send_until_acked(16 * MIB)
        servers = [project["incoming-1"], project["incoming-2"]]
        claimed = re.compile(rf"upload {ticket.text[:8]}: claimed")
        (holder,) = (one for one in servers if claimed.search(one.log))
        holder.kill()
        client.upload()
        (other,) = (one for one in servers if one is not holder)
        assert claimed.search(other.log)
        file = tmp_path / "volumes/files" / ticket.text
        assert file.read_bytes() == b"".join(client.data.blocks())
