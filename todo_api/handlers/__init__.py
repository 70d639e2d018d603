"""One module a tag; a plain function an operation, named as its operationId in snake_case."""
