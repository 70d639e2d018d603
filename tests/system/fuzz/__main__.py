"""Fuzz a server of its own at length."""

from tests.system.fuzz.fuzzing import main

if __name__ == "__main__":
    main()
