"""The Kubernetes operator: reconciles AliasSets that are custom resources.

    API server ─kopf─▶ handlers ─▶ world (all objects)      who has authority over which name: claims
                           │ wake
                           ▼
                         queue ─▶ reconciler ─▶ reconcile_set ─▶ make_plan, decide, apply_plan (as the others)
                                      │            │           clients, reads: connections and reads that sets share
                                      │            └ deletion, for objects that go
                                      └ status, events, metrics: the result

Each reconcile compares what is desired now with what is live now, whatever event was lost. The process that holds the
Lease works. `wiring` puts the parts together; `main` is the process around them.
"""
