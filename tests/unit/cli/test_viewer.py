"""Does `trace --open` serve the trace, and the page that shows it, to this machine alone?"""

from __future__ import annotations

import socket
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from archsim.cli import _viewer
from archsim.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Done

    Archsim = Callable[..., Done]


def asked(url: str) -> bytes:
    with urlopen(url, timeout=20) as answer:
        found: bytes = answer.read()
        return found


@pytest.fixture
def serve() -> Iterator[Callable[[_viewer.Viewer], str]]:
    started = []

    def call(viewer: _viewer.Viewer) -> str:
        started.append(viewer)
        Thread(target=viewer.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{viewer.server_address[1]}"

    yield call
    for viewer in started:
        viewer.shutdown()
        viewer.server_close()


def test_the_installed_page_and_the_trace_come_from_one_place(
    serve: Callable[[_viewer.Viewer], str],
) -> None:
    viewer = _viewer.Viewer(b"trace", port=0)
    here = serve(viewer)
    assert viewer.url == f"{here}/"
    assert b"<title>Perfetto" in asked(viewer.url)
    assert asked(f"{here}/localtrace") == b"trace"
    assert not viewer.shown  # the page has not said yet that it has it
    assert asked(f"{here}/file_info") == b"{}"
    assert viewer.shown


def test_without_the_page_only_the_trace_is_served_to_the_one_online(
    serve: Callable[[_viewer.Viewer], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_viewer, "find_spec", lambda name: None)
    viewer = _viewer.Viewer(b"trace", port=0)
    here = serve(viewer)
    assert viewer.url == f"https://ui.perfetto.dev/#!/?url={here}/localtrace"
    with pytest.raises(HTTPError, match="404"):
        asked(f"{here}/index.html")
    assert asked(f"{here}/localtrace") == b"trace"
    assert viewer.shown


def test_trace_opens_a_browser_and_ends_once_it_has_the_trace(
    archsim: Archsim, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_viewer, "PORT", 0)
    seen: dict[str, bytes] = {}

    def browser(url: str) -> bool:
        seen["trace"] = asked(f"{url}localtrace")
        asked(f"{url}file_info")
        return True

    monkeypatch.setattr("webbrowser.open", browser)
    archsim("run", "npu", "gpt2-small", "--phase", "prefill", "--tokens", "8", "-q", "-o", "mine")
    done = archsim("trace", "mine", "--open")
    assert (done.status, done.stdout) == (0, "mine/timeline.pftrace\n")
    assert done.stderr.startswith("open http://127.0.0.1:")
    assert seen["trace"] == Path("mine/timeline.pftrace").read_bytes()


def test_a_port_in_use_is_said() -> None:
    with socket.socket() as taken:
        taken.bind((_viewer.HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError) as caught:
            _viewer.show(b"trace", port=port)
    assert caught.value.message == f"port {port} of this machine is in use, which the viewer needs"
