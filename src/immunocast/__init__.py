"""immunocast: who responds to immune checkpoint inhibitors, why, and how far the forecast can be trusted."""

__version__ = "0.1.0"
