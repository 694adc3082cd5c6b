"""docs/types.md says what the functions that encode do."""

import subprocess
from pathlib import Path

from support.etl import BINARY


def test_the_page_is_what_the_program_prints():
    program = BINARY.parents[2] / "docs/generate_types"
    page = Path(__file__).resolve().parents[2] / "docs/types.md"
    printed = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    assert page.read_text() == printed, f"run: {program} > {page}"
