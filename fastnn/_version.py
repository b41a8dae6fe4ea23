"""The version, for the package's own modules and for those who build it."""

__version__ = "0.1.0"
