"""docs/checks.md says what the register says."""

import subprocess
import sys


def test_the_page_is_up_to_date(root):
    command = [sys.executable, str(root / "scripts/write_checks_doc.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
