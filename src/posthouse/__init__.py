"""Posthouse: Amazon SES on your own machine.

The rooms and who may import whom are drawn in docs/architecture.md; tests/architecture proves it.
"""

__version__ = "0.1.0"
