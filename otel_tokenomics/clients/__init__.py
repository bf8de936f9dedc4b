"""One file per client library: what it sends, where its usage stands, and nothing else.

Only adapters may enter this room; they import ``client_api`` and ``usage``, never the library at module level.
A file whose name starts with ``_`` holds what several libraries share.
"""
