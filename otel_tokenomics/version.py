"""The version of the package, which is the version of the scope of its spans and metrics."""

__version__ = "0.1.0"
