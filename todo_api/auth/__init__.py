"""Who is asking: tokens and passwords. Knows no task."""
