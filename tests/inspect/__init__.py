"""Real Milvus 2.3.5 servers that ask who calls: for tokens and privileges, and for certificates."""
