"""Faults under load: `make faults`. What each does is in `acts.py`, what came of it in `docs/reliability.md`."""
