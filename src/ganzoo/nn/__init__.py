"""Floor 1: layers, and networks that three or more families share."""
