"""Floor 10: the page of `ganzoo explore`: what it asks of models (`studio.py`), the page (`page.py`), a Space of it."""
