"""Fixtures of the gate's tests."""
