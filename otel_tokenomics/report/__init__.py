"""Reading what was recorded: OTLP files, and the cost tree of a trace.

May import ``attributes``, ``pricing``, ``usage``, ``errors`` and ``config``; never live telemetry or clients.
"""
