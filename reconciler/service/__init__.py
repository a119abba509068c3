"""Shared by the long-running front doors, the operator and the agent.

process    stop on signals, serve probes and metrics, log start and end
web        a small HTTP server
metrics    Prometheus metrics
logging    structlog to standard error, also for what libraries log
signals    which signals end a process
backoff    pauses between attempts
"""
