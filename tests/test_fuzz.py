"""A small run of the fuzzer; ``python -m tests.fuzz`` is the heavy one."""

import fuzz


def test_random_sequences():
    fuzz.run(150)
    assert min(fuzz.DONE.values()) > 0
    assert len(fuzz.DONE) == 12, "a rule never ran"
