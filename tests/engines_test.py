"""Shards of Beam and Spark beside scale mode's, where these are installed."""

import shutil
import subprocess
import sys

import pytest

from tests import engines


@pytest.mark.parametrize("engine", engines.PACKAGES)
def test_shards_of_an_engine_are_equal(engine):
    if not engines.installed(engine):
        pytest.skip(f"{engines.PACKAGES[engine]} is not installed")
    if engine == "Spark" and shutil.which("java") is None:
        pytest.skip("there is no Java")
    command = [sys.executable, "-m", "tests.engines", "--megabytes=2", "--engines", engine]
    done = subprocess.run(command, cwd=engines.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("All shards equal.\n")


def test_an_engine_that_is_not_installed_is_named(monkeypatch, capsys):
    monkeypatch.setattr(engines, "installed", lambda engine: False)
    monkeypatch.setattr(sys, "argv", ["engines"])
    with pytest.raises(SystemExit):
        engines.main()
    assert "lacks apache_beam and pyspark: install it" in capsys.readouterr().err


def test_descendants_are_found():
    process = subprocess.Popen(["bash", "-c", "sleep 30 & wait"])
    try:

        def children():
            return [engines.words(pid) for pid in engines.descendants(process.pid)]

        assert engines.wait_for(lambda: children() == ["sleep 30 "], process, seconds=20)
    finally:
        for pid in [*engines.descendants(process.pid), process.pid]:
            engines.os.kill(pid, 9)
        process.wait()
    assert engines.words(process.pid) == ""
