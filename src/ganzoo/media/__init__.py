"""Floor 2: what models make. A medium (images, points) is one file: how its samples are checked, drawn and written."""
