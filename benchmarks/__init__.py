"""How fast, how large, how deep: one file a question, each with its target and a peer beside it.

``python -m benchmarks`` runs the quick ones, ``python -m benchmarks.transformer`` one of them.
They need the extra ``bench`` and an operating system with ``/proc`` or ``getrusage``.
"""
