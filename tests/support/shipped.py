"""What the wheel is built from."""

SHIPPED = ("LICENSE", "README.md", "migrations", "openapi", "pyproject.toml", "setup.cfg", "todo_api")
