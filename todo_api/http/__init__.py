"""The contract-driven ASGI pipeline, from a request to its handler and back. It knows no task."""
