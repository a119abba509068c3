"""What was tried to break it: suites count their cases here, and `make soak` makes docs/reliability.md of them."""
