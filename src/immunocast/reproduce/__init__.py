"""Make a finished run again from its own configuration, and say whether the same came out."""

from immunocast.reproduce.run_again import Options, reproduce

__all__ = ["Options", "reproduce"]
