"""Opens a page in headless Chromium and says what it did."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


def open_page(browser: str, url: str, profile: Path) -> tuple[str, str, list[str]]:
    """Opens a page from disk and returns its document, the console, and the addresses that the page asked for.

    What the browser asks for on its own account is not the page's doing and is left out.
    """
    net_log = profile / "net.json"
    command = [
        browser,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--enable-logging=stderr",
        "--virtual-time-budget=10000",
        f"--user-data-dir={profile}",
        f"--log-net-log={net_log}",
        "--dump-dom",
        url,
    ]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
        env={**os.environ, "HOME": str(profile)},
    )
    events = [event.get("params", {}) for event in json.loads(net_log.read_text())["events"]]
    asked = [
        e["url"] for e in events if "url" in e and str(e.get("network_isolation_key")).startswith("file:")
    ]
    return (
        done.stdout,
        done.stderr,
        [address for address in asked if not address.startswith(("file:", "data:"))],
    )
