"""The specs of the kinds, one file each: every field with its type, default, limits and description, once.

`schema` derives JSON Schemas and CustomResourceDefinitions from them, `documents` decodes with them.
"""
