"""The conformance suite: every operation, every way to evaluate it, every kind of number."""
