"""The Git sync agent: applies the AliasSets that a ref of a Git repository contains.

The agent applies only what it has just read at the ref: while the repository cannot be read, nothing is changed. A
revision that cannot be used leaves the last valid one in force.
"""
