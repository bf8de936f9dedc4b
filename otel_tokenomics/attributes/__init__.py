"""The names that are written or read, generated from one registry.

Only names and pure readers of attributes may enter this room; it imports ``usage`` and the
standard library, never OpenTelemetry.
"""
