"""``python -m tests.conformance [--write]``: print the page, or write docs/conformance.md."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

if __name__ == "__main__":
    from autograd_bp.files import write_whole
    from conformance.page import render
    from conformance.verdict import problems, problems_of_cut
    from conformance.ways import WAYS

    if "--write" in sys.argv[1:]:
        write_whole(ROOT / "docs" / "conformance.md", render().encode())
    else:
        sys.stdout.write(render())
    wrong = [(way, *problem) for way in WAYS for problem in (*problems(way), *problems_of_cut(way))]
    for way, case, what, got, true in wrong:
        sys.stderr.write(f"{way}: {case.name}{case.flat}: {what} {got}, in truth {true:.200}\n")
    sys.exit(bool(wrong))
