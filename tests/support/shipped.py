"""The files that the wheel is built from."""

SHIPPED = ("LICENSE", "README.md", "docs", "migrations", "openapi", "pyproject.toml", "setup.cfg", "todo_api")
