"""Pages to read: the front page, the reference, problems and discovery."""
