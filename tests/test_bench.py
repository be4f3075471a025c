"""`make bench` measures what it says: each way over HTTP stores the file, and ratios are those of pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from bench import content, folders, http, load, measure, small
from bench.keep_alive import KeepAliveConnection
from bench.measure import Sample
from bench.parts import PARTS
from bench.quick_app import quick_app
from bench.rivals.ours import Ours
from incoming.core.lifecycle import State
from tests.support.data import MIB

SIZE_BYTES: Final = 9 * MIB + 12_345
"""More than two requests of 4 MiB, more than the ring that is sent, and no round number."""
OURS: Final = [name for name in http.REFERENCES if issubclass(http.RIVALS[name], Ours)]


@pytest.mark.parametrize("name", OURS)
def test_each_way_over_http_stores_the_whole_file_and_hands_it_over(name: str, tmp_path: Path) -> None:
    with http.RIVALS[name](tmp_path / "storage") as rival:
        upload = rival.upload(SIZE_BYTES)
        assert list(load.flat_out([upload])) == [upload]
        assert measure.sha256(rival.finish(upload)) == content.file_sha256(SIZE_BYTES)


@pytest.mark.parametrize("name", ["floor-gevent", "floor-crc32c", "floor-sha256"])
def test_each_rival_of_the_bench_stores_the_whole_file(name: str, tmp_path: Path) -> None:
    with http.RIVALS[name](tmp_path / "storage") as rival:
        upload = rival.upload(SIZE_BYTES)
        assert list(load.flat_out([upload])) == [upload]
        assert measure.sha256(rival.finish(upload)) == content.file_sha256(SIZE_BYTES)


@pytest.mark.parametrize("name", ["ours", "ours-put", "ours-tus"])
def test_a_small_file_is_finished_and_removed_on_each_way_of_ours(name: str, tmp_path: Path) -> None:
    with quick_app() as app_url, small.STORES[name](tmp_path / "storage", app_url) as store:
        with KeepAliveConnection(store.port) as kept:
            store.upload(kept)
            store.upload(kept)
        store.check(2)
        assert [ticket.state for ticket in store.journaled().values()] == [State.FINISHED] * 2


def test_ratios_are_those_of_pairs_and_stand_beside_the_name_of_the_reference() -> None:
    def sample(wall_s: float) -> Sample:
        return Sample(size_bytes=MIB, wall_s=wall_s, cpu_s=wall_s, peak_mib=50.0, finished_s=wall_s)

    pairs = [(sample(1.0), sample(1.0)), (sample(4.0), sample(2.0)), (sample(8.0), sample(2.0))]
    rows = {row["name"]: row for row in http.table({"put": pairs, "patches-4mib": pairs})}
    assert list(rows) == ["put", "patches-4mib", "floor-gevent"]
    assert rows["put"]["speed_ratio"].median == 0.5
    assert rows["put"]["cpu_ratio"].median == 2.0
    assert rows["patches-4mib"]["reference"] == "patch"
    assert rows["floor-gevent"]["mb_per_s"].most == MIB / measure.MB


def test_every_measurement_has_its_place_on_the_page() -> None:
    page = (Path(__file__).parents[1] / "docs/explanation/performance.md").read_text("utf-8")
    for name in PARTS:
        assert f"<!-- {name}: written by make bench -->" in page
        assert f"<!-- end of {name} -->" in page


def test_a_folder_is_sent_compared_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content_ = folders.Content(tmp_path / "content", files=12, large_mib=1)
    with folders.Sent(tmp_path / "storage") as sender:
        run = folders.one_run(sender, content_)
    assert run.wall_s > 0 < run.client_cpu_s
    folders.show(folders.table({folders.FOLDER: [run]}, content_))
    assert folders.Sent.title in capsys.readouterr().out
