"""What the schema at /openapi.json says is so, for whatever it lets one send."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.e2e.conftest import RunningServer


def test_the_schema_is_kept(demo_server: RunningServer, tmp_path: Path) -> None:
    found = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli"),
            *("--config-file", str(Path(__file__).with_name("schemathesis.toml"))),
            *("run", f"{demo_server.http_url}/openapi.json"),
            *("--max-examples", "40", "--seed", "1"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stdout[-8000:] + found.stderr[-2000:]
