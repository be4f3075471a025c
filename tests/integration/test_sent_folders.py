"""Random folders are sent by the real client to the real server, and arrive as they were."""

from __future__ import annotations

import io
import os
import ssl
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incoming.client import address
from incoming.client.display import Display
from incoming.client.folder import FolderSource
from incoming.client.folder_walk import list_folder
from incoming.client.loop import Sender, Server
from incoming.client.protocol.events import Ending, Options
from incoming.core import folder_names
from incoming.core.errors import BadFolder
from tests.support.app import ScriptedApp
from tests.support.server import RunningServer, new_upload
from tests.support.trees import NOW_MS, TreeKeeper, tree_of, write_leaf

letters = st.characters(exclude_categories=["Cs"], exclude_characters="/\0")
names = st.one_of(
    st.text(letters, min_size=1, max_size=20),
    st.sampled_from(
        ["a", "A", "ä", "a\u0308", "aux.c", "CON", "C:", "C:x", "...", " x", "x ", "x.", "-n", "~"]
    ),
    st.sampled_from(
        [".hidden", "a\\b", "a\nb", "\x1b[2J", "\u202e", "é" * 127, "x" * 250 + ".txt", "%2e%2e"]
    ),
).filter(lambda name: name not in (".", "..") and len(os.fsencode(name)) <= 255)
sizes = st.one_of(
    st.sampled_from([0, 1, 10, 4096, 20_000]), st.integers(0, 2_000), st.sampled_from([300_000, 3_000_000])
)
times_ms = st.one_of(st.integers(-(10**12), 2 * 10**12), st.just(NOW_MS), st.just(0))
paths = st.lists(names, min_size=1, max_size=4)
trees = st.lists(st.tuples(paths, st.one_of(st.none(), st.tuples(sizes, times_ms))), max_size=25)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("folders")


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[RunningServer]:
    with RunningServer(place / "storage") as server:
        yield server


def write(folder: Path, tree: list[tuple[list[str], tuple[int, int] | None]], seed: int) -> None:
    """Writes as much of a tree as can be: a name may be that of a file and of a folder."""
    folder.mkdir()
    for names_, leaf in tree:
        path = folder.joinpath(*names_)
        try:
            if leaf:
                write_leaf(path, Random(seed).randbytes(leaf[0]), leaf[1])
            else:
                path.mkdir(parents=True, exist_ok=True)
        except OSError:
            pass


def is_refused(source: FolderSource) -> bool:
    """Returns whether no server takes a folder with such names."""
    try:
        folder_names.stored_paths(source.folder.entries)
    except BadFolder:
        return True
    return False


def test_random_folders_arrive_as_they_are(server: RunningServer, place: Path) -> None:
    keeper = TreeKeeper(place / "kept")
    numbers = iter(range(10**6))
    with ScriptedApp(keeper) as app:
        app.hash_files = False

        @settings(
            max_examples=int(os.environ.get("INCOMING_TEST_TREES", "12")),
            deadline=None,
            derandomize=True,
            suppress_health_check=[HealthCheck.too_slow],
        )
        @given(trees, st.booleans())
        def send(tree: list[tuple[list[str], tuple[int, int] | None]], wants_sha256: bool) -> None:
            number = next(numbers)
            folder = place / str(number)
            write(folder, tree, number)
            before = tree_of(folder)
            digest = {"digest": "sha256"} if wants_sha256 else {}
            ticket_id = new_upload(server, app.url, destType="folder", **digest)
            source = FolderSource(list_folder(folder))
            where = Server(address.parse(server.url), ssl.create_default_context())
            display = Display(io.StringIO(), quiet=True)
            outcome = Sender(source, ticket_id, where, Options(give_up_after_s=10), display).run()
            source.close()
            if is_refused(source):
                assert outcome.ending is Ending.FAILED
                return
            assert outcome.ending is Ending.FINISHED, outcome
            (arrived,) = keeper.arrived[ticket_id]
            arrived.assert_consistent()
            assert arrived.as_sent() == before
            assert arrived.fields["crc32c"] == f"{outcome.crc32c:08x}"
            assert arrived.fields["filenameFromBrowser"] == folder.name
            files = [line for line in arrived.lines if not line["path"].endswith("/")]
            assert all(("sha256" in line) is wants_sha256 for line in files)

        send()
