"""Systems beside Milvus that a run asks or tells, such as hooks.

Importing this package imports no HTTP client; a run that calls no such system never does.
"""
