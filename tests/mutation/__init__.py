"""Mutation testing: change the engine's source in one place, and see that a test fails."""
