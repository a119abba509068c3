"""The Kubernetes operator: AliasSets as custom resources, kept true in Milvus.

    API server ─kopf─▶ handlers ─▶ world (all objects)      who has authority over which name: claims
                           │ wake
                           ▼
                         queue ─▶ reconciler ─▶ examine ─▶ make_plan, apply_plan (the same as the command line's)
                                      │            │          clients, reads: connections and reads that sets share
                                      │            └ deletion, for objects that go
                                      └ status, events, metrics: what was found

Each look at a set is level-based: it compares what is wanted now with what is there now, whatever event was lost. One
process works, the one that holds the Lease (`lease`); `main` puts the parts together.
"""
