"""A local provider that bills, and an example application: the demo, the examples and the conformance tests use them.

May import ``report``, ``_api`` and what stands below. Standard library and the real client libraries only; no
content is kept.
"""
