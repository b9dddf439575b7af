"""Floor 4: one paper a file; a family is found by its file, and no list is edited."""
