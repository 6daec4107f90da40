"""Real headless Chromium: the page as it is after its script has run."""

import shutil
import subprocess
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
SECONDS = 120


def find() -> str:
    """The browser; skips the test where there is none."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"no browser to look at the page with: none of {', '.join(NAMES)}")
    return found


def dom(address: str, profile: Path) -> tuple[str, str]:
    """The document once nothing is left to do, as HTML, and what the console said."""
    command = [
        find(),
        *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"),
        *("--enable-logging=stderr", f"--user-data-dir={profile}", "--virtual-time-budget=20000"),
        *("--dump-dom", address),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return done.stdout, "\n".join(console)
