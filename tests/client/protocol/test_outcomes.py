"""What a person reads when an upload has ended."""

from __future__ import annotations

import pytest

from incoming.client.protocol import outcomes
from incoming.client.protocol.events import Ending, File
from incoming.core import errors
from incoming.core.folder_manifest import Entry, FolderManifest
from incoming.protocol.messages import MsgErrorV2

PHOTOS = File("photos", 100, 7, FolderManifest(100, [Entry("a.jpg"), Entry("b/c.jpg")]))


@pytest.mark.parametrize(
    ("index", "more"), [(-1, ""), (0, ' It is "a.jpg".'), (1, ' It is "b/c.jpg".'), (2, "")]
)
def test_a_folder_that_the_server_does_not_take_is_told_with_the_path(index: int, more: str) -> None:
    why = errors.BadFolder("too_deep", "is too deep", max(index, 0))
    error = MsgErrorV2(why.number, why.code, str(why), why.retryable, 0, 0, "", index)
    outcome = outcomes.refused(error, PHOTOS)
    assert outcome.text == f"{why}{more}"
    assert (outcome.ending, outcome.resumable) == (Ending.FAILED, False)


@pytest.mark.parametrize(("file", "what"), [(PHOTOS, "folder"), (File("a.mov", 1, 1), "file")])
def test_each_sentence_says_what_was_sent(file: File, what: str) -> None:
    assert outcomes.finished(file, 5).text == f"The app has the {what}."
    assert outcomes.not_taken(file).text == f"The app did not accept the {what}."
    assert f"has a {what} with different content" in outcomes.other_content(file).text
    assert outcomes.changed_since(file, "It changed.").text.startswith(f"The app has the {what} as it was")


@pytest.mark.parametrize(
    ("size_bytes", "changed_ms", "about"),
    [
        (1_234, 0, " (1,234 bytes)"),
        (5, 1_000, " (5 bytes, last changed 1970-01-01 00:00:01 UTC)"),
        (0, 1_000, " (last changed 1970-01-01 00:00:01 UTC)"),  # the size is not known yet
        (0, 0, ""),
    ],
)
def test_the_file_that_should_have_come_is_told_as_far_as_it_is_known(
    size_bytes: int, changed_ms: int, about: str
) -> None:
    why = errors.WrongFile(errors.ExpectedFile("a.mov", size_bytes, changed_ms))
    error = MsgErrorV2(why.number, why.code, str(why), why.retryable, size_bytes, changed_ms, "a.mov")
    assert outcomes.refused(error, PHOTOS).text == f'{why} That file is "a.mov"{about}.'
