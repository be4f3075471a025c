"""HTTP clients as they are, on this machine and without a proxy: each of them gets a ticket."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.app import ScriptedApp
from tests.support.server import RunningServer

JAVA = """
import java.net.*; import java.net.http.*;
public class Ask { public static void main(String[] a) throws Exception {
  var request = HttpRequest.newBuilder(URI.create(a[0])).POST(HttpRequest.BodyPublishers.noBody()).build();
  System.out.print(HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString()).body());
} }
"""
OLD_JAVA = """
import java.net.*;
public class Ask { public static void main(String[] a) throws Exception {
  var asked = (HttpURLConnection) new URL(a[0]).openConnection();
  asked.setRequestMethod("POST");
  System.out.print(new String(asked.getInputStream().readAllBytes()));
} }
"""
NODE = {
    "fetch": "fetch(process.argv[1], {method: 'POST'}).then(r => r.text()).then(t => console.info(t))",
    "http": "require('http').request(process.argv[1], {method: 'POST'}, r => r.pipe(process.stdout)).end()",
}
PERL = "print HTTP::Tiny->new->post($ARGV[0])->{content}"
URLLIB = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1], b'').read().decode(), end='')"
REQUESTS = "import sys, requests; print(requests.post(sys.argv[1]).text, end='')"
CLIENTS = {
    "curl": ["curl", "-s", "-X", "POST"],
    "curl with a form": ["curl", "-s", "-F", "destType=file"],
    "wget": ["wget", "-q", "-O-", "--post-data="],
    "urllib": [sys.executable, "-c", URLLIB],
    "requests": [sys.executable, "-c", REQUESTS],
    "Node's fetch": ["node", "-e", NODE["fetch"], "--"],
    "Node's http": ["node", "-e", NODE["http"], "--"],
    "Perl": ["perl", "-MHTTP::Tiny", "-e", PERL],
    "Java's HttpClient": ["java", "Ask.java", JAVA],
    "Java's HttpURLConnection": ["java", "Ask.java", OLD_JAVA],
}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_an_app_without_a_proxy_needs_no_token(
    server: RunningServer, app: ScriptedApp, tmp_path: Path, client: str, host: str
) -> None:
    command = CLIENTS[client]
    if not shutil.which(command[0]):
        pytest.skip(f"there is no {command[0]} here")
    if command[0] == "java":
        *command, source = command
        (tmp_path / "Ask.java").write_text(source)
    url = f"http://{host}:{server.port}/incoming/backend/new_upload?signalFinishURL={app.url}"
    command = [*command, url]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert len(done.stdout.strip()) == len("0b8a0f0e-4c1b-4c57-9d2a-6c0d3f6f1a55"), (done.stdout, done.stderr)
