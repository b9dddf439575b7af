"""Feature networks: what a metric sees of an image."""
