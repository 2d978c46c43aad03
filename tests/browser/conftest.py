"""One Chromium for all pages, with the network off and everything it complains of written down."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Route, sync_playwright

from archsim import api
from archsim.report.model import Report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
)  # fmt: skip
LOCAL = ("file:", "data:", "blob:", "about:")


@dataclass
class Opened:
    """A page, what it asked of the network, and what it complained of."""

    page: Page
    asked: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


Open = Callable[[str], Opened]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's Chromium."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: `make browser` installs it where it can")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield started
        started.close()


@pytest.fixture
def opened(browser: Browser) -> Iterator[Open]:
    """Opens pages; every request that leaves this machine is refused and written down."""
    contexts = []

    def call(url: str) -> Opened:
        context = browser.new_context(viewport={"width": 1400, "height": 1000})
        contexts.append(context)
        found = Opened(context.new_page())
        origin = url.partition("/#")[0] if url.startswith("http") else "file:"

        def route(asked: Route) -> None:
            if asked.request.url.startswith((origin, *LOCAL)):
                asked.continue_()
            else:
                found.asked.append(asked.request.url)
                asked.abort()

        def said(message: ConsoleMessage) -> None:
            if message.type == "error":
                found.errors.append(message.text)

        context.route("**/*", route)
        found.page.on("console", said)
        found.page.on("pageerror", lambda error: found.errors.append(str(error)))
        found.page.goto(url)
        return found

    yield call
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def report() -> Report:
    """A small run."""
    return api.run("npu", "gpt2-small", phase="prefill", tokens=8, batch=1, fidelity="tile")


@pytest.fixture(scope="session")
def artefacts(request: pytest.FixtureRequest) -> Path:
    """Where screenshots stay to be looked at: a folder that git ignores."""
    folder = Path(request.config.rootpath) / "runs" / "artefacts"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
