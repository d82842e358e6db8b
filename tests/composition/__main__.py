"""``python -m tests.composition [--write]``: print the page, or write docs/composition.md."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

if __name__ == "__main__":
    from autograd_bp.files import write_whole
    from composition.page import render
    from composition.verdict import RAW, SILENT, everything

    if "--write" in sys.argv[1:]:
        write_whole(ROOT / "docs" / "composition.md", render().encode())
    else:
        sys.stdout.write(render())
    sys.exit(any(verdict.mark in (RAW, SILENT) for _, verdict in everything()))
