"""What is written: spans' attributes, metrics, running totals. The recorder is the one writer.

No client and no provider's wire format may enter this room. ``opentelemetry.sdk`` is imported by
``tag_processor`` and ``sdk_setup`` alone.
"""
