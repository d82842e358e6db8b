"""``python -m autograd_bp`` is the command ``autograd-bp``, with the commands of `nn`."""

import sys

from nn.cli import main

sys.exit(main())
