"""Records as JSON documents: encoding, strict decoding, schemas, saved plans and reports.

codec           any record as JSON and back, and its JSON Schema
parts           what is not simply a record: steps beside their sets, addresses beside their connections
formats         the published kinds of documents, with their versions
plan_file       plans, written and read back
report_file     reports, written and read back
migration       documents of format version 1
"""
