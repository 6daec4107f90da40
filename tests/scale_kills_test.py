"""Two kills of `scale_kills`; twenty are a command of their own."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_two_kills_and_equal_shards():
    command = [sys.executable, "-m", "tests.scale_kills", "--kills=2", "--shards=6"]
    command += ["--megabytes=1", "--seed=2"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500)
    assert result.returncode == 0, result.stdout + result.stderr
    assert re.search(r"^2 kills \(.*\), \d+ runs", result.stdout, re.MULTILINE)
    assert re.search(r"a kill costs -?\d+\.\d % of it on average", result.stdout)
    assert "All shards have the same SHA-256." in result.stdout
