"""Two kills of `kill_resume`; thirty are a command of their own."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_two_kills_and_bit_identical_ends():
    command = [sys.executable, "-m", "tests.kill_resume", "--kills=2", "--steps=30", "--seed=4"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "2 kills (" in result.stdout
    assert "All ends bit-identical; nothing left behind." in result.stdout
