"""Floor 8: models as files of other runtimes: `writing.py` makes them, `running.py` draws from them without torch."""
