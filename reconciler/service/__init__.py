"""What the long-running front doors share: the process, a web server, metrics, logging, signals and back-off."""
