"""Floor 2: what models make, as files and pictures that a person looks at."""
