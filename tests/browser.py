"""A browser that opens pages without a network, and what it makes of them.

Chromium reads commands of the DevTools protocol from a pipe and answers through another, so that
one process opens every page and no port is listened to.
"""

import fcntl
import json
import os
import select
import shutil
import time
from base64 import b64decode
from contextlib import contextmanager
from pathlib import Path

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
WITHOUT = "there is no Chromium on this machine, so no page was opened"
SCRIPT = Path(__file__).with_name("browser.js")
WORDS = (
    *("headless", "no-sandbox", "disable-gpu", "disable-component-update", "disable-quic"),
    *("no-first-run", "disable-background-networking", "disable-sync", "disable-extensions"),
    *("hide-scrollbars", "remote-debugging-pipe", "allow-file-access-from-files"),
    "host-resolver-rules=MAP * ~NOTFOUND",
)
# What a page may load: itself, what lies beside it, and what it has within.
OWN = ("file:", "data:", "blob:", "about:")
PATIENCE = 120


class Tab:
    """The only tab of a browser, and what happened in it since `open`."""

    def __init__(self, commands, answers):
        self.commands, self.answers, self.number, self.rest = commands, answers, 0, b""
        self.session, self.events, self.requests, self.complaints = None, [], [], []
        target = self("Target.createTarget", url="about:blank")["targetId"]
        attached = self("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self(f"{domain}.enable")

    def __call__(self, method, **params):
        """Give a command, and return its result."""
        self.number += 1
        command = {"id": self.number, "method": method, "params": params}
        command |= {"sessionId": self.session} if self.session else {}
        os.write(self.commands, json.dumps(command).encode() + b"\0")
        while True:
            message = self.hear()
            if message.get("id") == self.number:
                assert "error" not in message, (method, message["error"])
                return message["result"]

    def hear(self):
        """Return the next message, and note what it says of the page."""
        until = time.monotonic() + PATIENCE
        while b"\0" not in self.rest:
            ready, _, _ = select.select([self.answers], [], [], until - time.monotonic())
            assert ready, "the browser does not answer"
            read = os.read(self.answers, 1 << 20)
            assert read, "the browser ended"
            self.rest += read
        text, _, self.rest = self.rest.partition(b"\0")
        message = json.loads(text)
        self.note(message.get("method"), message.get("params", {}))
        return message

    def note(self, event, params):
        """Keep what a page asks for, and what it complains of."""
        self.events.append(event)
        match event:
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])
            case "Network.loadingFailed" if not params.get("canceled"):
                self.complaints.append(f"not loaded: {params['errorText']}")
            case "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(params["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if params["type"] in {"error", "warning", "assert"}:
                self.complaints.append(json.dumps(params["args"]))
            case "Log.entryAdded" if params["entry"]["level"] in {"error", "warning"}:
                self.complaints.append(params["entry"]["text"])

    def open(self, address):
        """Open a page, and wait until it is typeset."""
        self.events, self.requests, self.complaints = [], [], []
        found = self("Page.navigate", url=address)
        assert "errorText" not in found, (address, found)
        # Another place on the same page loads nothing.
        while found.get("loaderId") and "Page.loadEventFired" not in self.events:
            self.hear()
        self.run(SCRIPT.read_text(encoding="utf-8"))
        self.run("seen.ready()")

    def run(self, script):
        """Evaluate a script in the page, and return its value."""
        result = self("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def follow(self, selector):
        """Click a link, and wait for the page that it leads to."""
        self.open(self.run(f"document.querySelector({json.dumps(selector)}).href"))

    def show(self, width, theme, height=900):
        """Look at the page on a screen of this width, light or dark."""
        self(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.prefer(theme)

    def prefer(self, theme):
        """Prefer light or dark pages."""
        wish = [{"name": "prefers-color-scheme", "value": theme}]
        self("Emulation.setEmulatedMedia", features=wish)

    def photograph(self, path, **clip):
        """Keep what is on the screen, or a part of the page."""
        params = {"clip": {"scale": 1} | clip, "captureBeyondViewport": True} if clip else {}
        data = self("Page.captureScreenshot", **params)["data"]
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b64decode(data))
        return data

    def outside(self):
        """Return what the page asked of other hosts."""
        return [url for url in self.requests if not url.startswith(OWN)]


@contextmanager
def opened(folder):
    """Start a browser, and yield its tab.

    Parameters
    ----------
    folder : Path
        Where it may keep what it needs.

    Yields
    ------
    Tab
        The tab.
    """
    theirs_in, commands = os.pipe()
    answers, theirs_out = os.pipe()
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in (theirs_in, theirs_out)]
    words = [BROWSER, *(f"--{word}" for word in WORDS), f"--user-data-dir={folder / 'profile'}"]
    null = (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)
    moved = [(os.POSIX_SPAWN_DUP2, fd, place) for place, fd in enumerate(high, 3)]
    process = os.posix_spawn(BROWSER, words, os.environ, file_actions=[null, *moved])
    for fd in (theirs_in, theirs_out, *high):
        os.close(fd)
    try:
        tab = Tab(commands, answers)
        yield tab
        tab.session = None
        tab("Browser.close")
    finally:
        # Without its pipe, the browser ends.
        os.close(commands)
        os.close(answers)
        os.waitpid(process, 0)
