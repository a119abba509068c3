"""Notifications: what a run reports, once per change of state, and how it reaches its receivers."""
