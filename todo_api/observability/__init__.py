"""What is seen of requests: the record of each, logs, metrics and traces."""
