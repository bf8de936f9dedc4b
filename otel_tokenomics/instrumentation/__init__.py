"""Everything dangerous, once: patching, context, streams, suppression, and the life of one call.

This is the only room that imports wrapt. What a client's library looks like stands in ``clients/``; what is written
stands in ``telemetry/``.
"""
