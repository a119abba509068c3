"""Emulated Milvus servers of the versions that no test can start: what a client sees of them, over real gRPC.

    cluster = Cluster(VERSIONS["2.6.8"])      databases, collections, aliases, grants      cluster
    with Proxy(cluster) as proxy:             an address that clients connect to           proxy
        MilvusClient(proxy.uri)               aliases, collections, data, access: one module per group of calls

How versions differ is the table in `behaviour`. It was read in Milvus's sources and issues, so a test that passes here
proves what aliasctl does if that reading is right, and nothing about Milvus. Where the table says nothing, a server
behaves as Milvus 2.3.5 does, which was measured. `tests/catalog` runs the contract suite on 2.3.5 as emulated here and
as it is.
"""
