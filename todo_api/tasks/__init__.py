"""Tasks: create, find, change, complete and delete them."""
