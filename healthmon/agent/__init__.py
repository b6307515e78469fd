"""Beside the watched process: what sends its heartbeats."""
