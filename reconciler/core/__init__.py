"""Pure records and rules: no clock, no I/O, no logging, no environment."""
