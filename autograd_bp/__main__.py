"""``python -m autograd_bp`` is the command ``autograd-bp``."""

import sys

from autograd_bp.cli import main

sys.exit(main())
