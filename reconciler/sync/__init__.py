"""The Git sync agent: applies the AliasSets that a ref of a Git repository contains.

    settings      the settings of the command line
    tree          the files of a commit, as the manifest reader takes them
    revision      a commit → AliasSets, or why it cannot be used
    agent         reconcile once: read the ref, choose the revision in force, plan, decide, apply
    progress      which changes of a revision are made for the first time, and which again
    last_applied  the hash of each set's spec when it was last fully applied, across restarts
    pace          when to reconcile again: jitter and back-off
    finding       the result, for the log, `/status`, the metrics and the exit code
    main          the process: one reconcile, or the loop with its web server

The agent applies only what it has just read at the ref: while the repository cannot be read, nothing is changed. A
revision that cannot be used leaves the last valid one in force.
"""
