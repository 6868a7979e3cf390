"""Make a finished run again from its own configuration, and say whether the same came out."""

from immunocast.reproduce.reproduce import Options, reproduce

__all__ = ["Options", "reproduce"]
