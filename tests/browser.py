"""What a browser makes of a built page."""

import json
import re
import shutil
import subprocess
from html import unescape

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
# What is seen when the page is typeset. TeX in programs is no TeX that was left over.
LOOK = r"""
<script>
addEventListener("load", async () => {
  if (window.MathJax) await MathJax.startup.promise;
  const all = (selector) => [...document.querySelectorAll(selector)];
  const copy = document.querySelector("article").cloneNode(true);
  copy.querySelectorAll("pre, code, script, mjx-container").forEach((part) => part.remove());
  const seen = {
    width: document.documentElement.clientWidth,
    needed: document.documentElement.scrollWidth,
    formulas: all(".math").length,
    typeset: all(".math mjx-container").length,
    errors: all("[data-mml-node=merror]").map((part) => part.textContent),
    tex: copy.textContent.match(/\\[A-Za-z(\[]+/g) || [],
    tables: all("table").filter((t) => t.scrollWidth > t.parentElement.clientWidth).length,
  };
  parent.postMessage(seen, "*");
});
</script>
"""
# A window is never as narrow as a phone; a frame is.
FRAME = """<!doctype html>
<script>
addEventListener("message", (event) => {
  document.documentElement.setAttribute("data-seen", JSON.stringify(event.data));
});
</script>
<iframe src="page.html" style="border: 0; height: 800px; width: %dpx"></iframe>
"""


def seen(page, folder, *, width):
    """Measures of a page in a window of the given width, which reaches no network."""
    text = page.read_text(encoding="utf-8")
    base = f'<head><base href="{page.as_uri()}">'
    copy = folder / "page.html"
    copy.write_text(text.replace("<head>", base, 1).replace("</body>", f"{LOOK}</body>"), "utf-8")
    (folder / "frame.html").write_text(FRAME % width, "utf-8")
    quiet = ("disable-quic", "no-first-run", "disable-background-networking", "disable-sync")
    result = subprocess.run(
        [
            *(BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-component-update"),
            *(f"--{word}" for word in quiet),
            *("--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={folder / 'profile'}"),
            *("--window-size=1600,900", "--virtual-time-budget=60000", "--dump-dom"),
            (folder / "frame.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return json.loads(unescape(re.search(r'data-seen="([^"]*)"', result.stdout)[1]))
