"""What the long-running front doors share: web server, metrics, logging."""
