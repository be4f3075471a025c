"""One upload in parts (tus 1.0, "Concatenation"), while connections break and the server is killed.

As in `mixed_ways`, what the server tells is compared with what it has told before: of each part, and of the
file. A part whose address was lost is never used. The file is named before its parts are complete, or after.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import ClassVar

from tests.support.client_v1 import ClientV1, UploadEnded
from tests.support.client_v2 import ClientV2, UploadRefused
from tests.support.http_upload import HttpAnswer
from tests.support.mixed_ways import CODES, Ending, MixedUpload, Told, answer_of
from tests.support.server import RunningServer
from tests.support.tus import MEDIA_TYPE, VERSION, TusUpload, checksum, in_base64


@dataclass
class MixedPart:
    """A part of the file. `path` is empty until its address is known."""

    start_bytes: int
    told: Told
    is_deferred: bool
    """Whether its length comes later."""
    path: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether the server has told that it has all its bytes."""
        return bool(self.path) and self.told.acked_bytes == self.told.length_bytes

    def upload(self, server: RunningServer, ticket_id: str) -> TusUpload:
        """Returns the address of the part."""
        upload = TusUpload(server.url, ticket_id)
        upload.path = self.path
        return upload


@dataclass
class MixedParts(MixedUpload):
    """See the module. `parts` are in the order of the file."""

    is_sent_whole: ClassVar[bool] = False
    parts: list[MixedPart] = field(default_factory=list)
    is_planned: bool = False
    """Whether the server may know which parts make the file."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.is_begun = True  # no way creates the upload
        most = min(self.length_bytes, 4)
        cuts = sorted(self.chance.sample(range(1, self.length_bytes), self.chance.randint(0, most - 1)))
        for start, end in zip([0, *cuts], [*cuts, self.length_bytes], strict=True):
            self.parts.append(MixedPart(start, Told(end - start, 0), self.chance.random() < 0.3))

    @property
    def may_be_whole(self) -> bool:
        """See MixedUpload."""
        return all(part.told.sent_bytes == part.told.length_bytes for part in self.parts)

    @property
    def is_whole(self) -> bool:
        """Whether the server has told that it has all bytes."""
        return all(part.is_whole for part in self.parts)

    def step_in_parts(self, ending: Ending) -> None:
        """Does one of the things that are to be done."""
        left = [part for part in self.parts if not part.is_whole]
        if self.is_begun_in_parts and self.chance.random() < 0.15:
            self.do(self._send_whole, "the whole file, which is refused")
        elif all(part.path for part in self.parts) and (not left or self.chance.random() < 0.1):
            self.do(lambda: self._name_file(ending), f"final, {ending.name}")
        elif left:
            part = self.chance.choice(left)
            about = f"part {self.parts.index(part)} at {part.start_bytes}, {ending.name}"
            if part.path:
                self.do(lambda: self._append(part, ending), f"append to {about}")
            else:
                self.do(lambda: self._create(part, ending), f"create {about}")

    @property
    def is_begun_in_parts(self) -> bool:
        """Whether the server has told that it has a part."""
        return any(part.path for part in self.parts)

    def _create(self, part: MixedPart, ending: Ending) -> None:
        began_s = time.monotonic()
        length = {"Upload-Length": str(part.told.length_bytes)}
        if part.is_deferred:
            length = {"Upload-Defer-Length": "1"}
        headers = VERSION | {"Upload-Concat": "partial", "Content-Length": "0"} | length
        request = self.http.open("POST", headers)
        if ending is not Ending.ANSWERED:
            self._end(request, ending)  # if there is a part now, nobody knows
            return
        answer = answer_of(request)
        if answer.status != 201:
            self.saw_error(answer.code, began_s)
            return
        path = f"{self.http.path.rpartition('/')[0]}/{answer.headers['location']}"
        assert path not in {one.path for one in self.parts}, "two parts have one address"
        part.path = path

    def _append(self, part: MixedPart, ending: Ending) -> None:
        began_s = time.monotonic()
        upload, told = part.upload(self.site.server, self.ticket_id), part.told
        looked = upload.head()
        if looked.status != 200:
            self.saw_error(looked.code or str(looked.status), began_s, told)
            return
        offset_bytes = self.saw_offset(looked.offset_bytes, told)
        to_bytes = told.length_bytes
        if self.chance.random() < 0.5:
            to_bytes = self.chance.randint(offset_bytes, told.length_bytes)
        body = self.data.read(part.start_bytes + offset_bytes, to_bytes - offset_bytes)
        headers: dict[str, str] = {**VERSION, "Content-Type": MEDIA_TYPE, "Upload-Offset": str(offset_bytes)}
        if part.is_deferred and (to_bytes == told.length_bytes or self.chance.random() < 0.2):
            headers["Upload-Length"] = str(told.length_bytes)
        is_checked, is_chunked = self.chance.random() < 0.4, self.chance.random() < 0.3
        if is_checked:
            headers["Upload-Checksum"] = checksum(self.chance.choice(["crc32c", "sha256"]), body)
        headers |= {"Transfer-Encoding": "chunked"} if is_chunked else {"Content-Length": str(len(body))}
        request = upload.open("PATCH", headers)
        if self._sends(
            request, offset_bytes, body, ending, is_checked=is_checked, is_chunked=is_chunked, part=told
        ):
            answer = answer_of(request)
            if answer.status != 204:
                self.saw_error(answer.code or str(answer.status), began_s, told)
                return
            assert self.saw_offset(answer.offset_bytes, told) == to_bytes

    def _name_file(self, ending: Ending) -> None:
        """Says which parts make the file, or asks what has become of that."""
        began_s, upload = time.monotonic(), TusUpload(self.site.server.url, self.ticket_id)
        if self.is_planned and self.chance.random() < 0.3:
            self._saw_final(upload.head(), began_s)
            return
        self.is_planned = True
        named = "final;" + " ".join(part.path for part in self.parts)
        about = {"Upload-Metadata": f"filename {in_base64('a.mov')}", "Content-Length": "0"}
        request = self.http.open("POST", VERSION | about | {"Upload-Concat": named})
        if ending is not Ending.ANSWERED:
            self._leave(request, ending, self.told)
            return
        was_whole, answer = self.is_whole, answer_of(request)
        if answer.status != 201:
            self.saw_error(answer.code or str(answer.status), began_s)
        elif was_whole:
            self.saw_success()

    def _saw_final(self, answer: HttpAnswer, since_s: float) -> None:
        if answer.status != 200:
            if answer.code != "upload_in_parts":  # the request that named the file was lost
                self.saw_error(answer.code or str(answer.status), since_s)
        elif "upload-offset" in answer.headers:
            assert answer.offset_bytes == self.length_bytes
            self.saw_success()

    def _send_whole(self) -> None:
        """Sends the file as if it did not come in parts. Nothing of it is stored."""
        began_s = time.monotonic()
        if self.chance.random() < 0.5:
            answer = self.http.ask("PUT", {}, self.data.read(0, self.length_bytes))
            code, is_success = answer.code, answer.status == 200
            if answer.status == 202:
                assert self.is_whole, "a part is taken for the file"
                return  # the parts are the file, and the app has not answered yet
        else:
            code, is_success = self._send_whole_over_websocket()
        self.note(f"answer {code}")
        if is_success:
            self.saw_success()
        elif code != "upload_in_parts":
            self.saw_error(code, began_s)

    def _send_whole_over_websocket(self) -> tuple[str, bool]:
        kind = self.chance.choice([ClientV1, ClientV2])
        client = kind(self.site.server.url, self.ticket_id, self.data)
        client.may_be_cut = True
        try:
            client.open().finish()
        except UploadEnded as exc:
            return CODES[exc.code], False
        except UploadRefused as exc:
            return exc.code, False
        finally:
            client.drop()
        return "", True
