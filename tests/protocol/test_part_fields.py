"""What fields say of the parts of a file: those of upload libraries, and those of apps."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incoming.protocol.part_fields import find_part_count, is_part_field


def parts(fields: dict[str, str]) -> int | None:
    """Returns how many parts the file has; None if the fields don't say it."""
    count = find_part_count({name: value for name, value in fields.items() if is_part_field(name)})
    return count and count.parts


KENDO = {"chunkIndex": 0, "contentType": "", "fileName": "a", "totalFileSize": 9, "totalChunks": 3}
DEVEXTREME = {"FileName": "a", "Index": 2, "TotalCount": 3, "FileSize": 9, "FileType": "", "FileGuid": "x"}
CHUNKED: dict[str, dict[str, str]] = {
    "Dropzone": {"dzuuid": "x", "dzchunkindex": "0", "dztotalchunkcount": "3", "dzchunkbyteoffset": "0"},
    "resumable.js": {"resumableChunkNumber": "1", "resumableTotalChunks": "3"},
    "flow.js": {"flowChunkNumber": "3", "flowTotalChunks": "3"},
    "Fine Uploader": {"qqpartindex": "0", "qqtotalparts": "3", "qqtotalfilesize": "9"},
    "Plupload, the first": {"name": "a", "chunk": "0", "chunks": "3"},
    "Plupload, the last": {"name": "a", "chunk": "2", "chunks": "3"},
    "simple-uploader.js, the first": {"chunkNumber": "1", "totalChunks": "3", "chunkSize": "3"},
    "simple-uploader.js, the last": {"chunkNumber": "3", "totalChunks": "3", "identifier": "9-a"},
    "Kendo UI": {"metadata": json.dumps(KENDO)},
    "Syncfusion": {"chunk-index": "0", "total-chunk": "3"},
    "bootstrap-fileinput": {"fileId": "x", "chunkIndex": "0", "chunkCount": "3"},
    "DevExtreme": {"chunkMetadata": json.dumps(DEVEXTREME)},
    "an app of its own": {"chunkIndex": "1", "totalChunks": " 3 "},
}
OTHER: dict[str, dict[str, str]] = {
    "nothing": {},
    "pieces of something": {"chunks": "3"},
    "a word": {"chunk": "bacon", "chunks": "3"},
    "an index behind the end": {"chunk": "7", "chunks": "3"},
    "a negative index": {"chunk": "-1", "chunks": "3"},
    "a fraction": {"chunk": "0", "chunks": "2.5"},
    "no parts": {"chunk": "0", "chunks": "0"},
    "an empty count": {"dzchunkindex": "", "dztotalchunkcount": ""},
    "a count that is a word": {"dztotalchunkcount": "many"},
    "a sentence": {"metadata": "index 1, totalcount 3"},
    "other metadata": {"metadata": json.dumps({"author": "x", "index": 1})},
    "a list": {"metadata": "[1, 3]"},
    "truths": {"metadata": json.dumps({"index": True, "totalcount": True})},
    "deep JSON": {"metadata": "[" * 100_000},
    "a long number": {"metadata": '{"index": 0, "totalcount": ' + "9" * 90_000 + "}"},
    "fields of two libraries": {"chunks": "3", "chunk-index": "0"},
    "an index in JSON, and a count beside it": {"metadata": json.dumps({"index": 0}), "totalcount": "3"},
}


@pytest.mark.parametrize("fields", CHUNKED.values(), ids=CHUNKED)
def test_the_fields_of_an_upload_library_say_how_many_parts_the_file_has(fields: dict[str, str]) -> None:
    assert parts(fields) == 3


@pytest.mark.parametrize(
    "fields",
    [
        {"dzchunkindex": "0", "dztotalchunkcount": "1"},
        {"chunk": "0", "chunks": "1"},
        {"chunkNumber": "1", "totalChunks": "1"},
        {"metadata": json.dumps(KENDO | {"totalChunks": 1})},
    ],
)
def test_a_file_of_one_part_has_one_part(fields: dict[str, str]) -> None:
    assert parts(fields) == 1


@pytest.mark.parametrize("fields", OTHER.values(), ids=OTHER)
def test_fields_with_other_content_say_nothing_of_parts(fields: dict[str, str]) -> None:
    assert parts(fields) is None


@given(st.dictionaries(st.sampled_from(["chunk", "chunks", "metadata", "totalChunks", "x"]), st.text()))
def test_any_fields_have_an_answer(fields: dict[str, str]) -> None:
    assert (parts(fields) or 1) >= 1
