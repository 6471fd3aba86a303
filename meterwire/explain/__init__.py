"""`explain`: says what a text is and what it holds, for support people who have nothing but the text."""

from meterwire.explain.context import MAX_TEXT, Context
from meterwire.explain.reader import explain

__all__ = ["MAX_TEXT", "Context", "explain"]
