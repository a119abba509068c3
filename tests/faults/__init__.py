"""What goes wrong between us and Milvus, made to order; and the suites that try it.

Recorder     a Milvus in memory whose calls fail, wait or are overtaken                      memory
OwnMilvus    a real one that may be killed and started again on the same data                own_milvus
Wire         a TCP connection that can be cut                                                wire
Relay        passes every gRPC call on to a real server; a hook may wait or abort first      relay
├── Saboteur      has its way with the n-th alias write: refuses it, or kills its sender     saboteur
├── FaultProxy    a relay behind a wire; faults of all kinds, drawn from a seed              fault_proxy, schedule
└── Witness       only watches, and tells afterwards who did what when                       witness
"""
