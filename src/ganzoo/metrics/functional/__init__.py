"""Metrics as pure functions of tensors: one file a metric, or a few that belong together; found by themselves."""
