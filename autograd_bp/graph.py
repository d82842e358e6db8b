"""What pickles made before version 0.2 ask for; it moved to `copies.py`."""

from autograd_bp.copies import _again as _restore
from autograd_bp.copies import _last

__all__ = ["_last", "_restore"]
