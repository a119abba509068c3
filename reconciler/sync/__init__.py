"""The Git sync agent: what a ref of a repository says, Milvus is made to be.

    settings   what the command line says
    tree       a commit's files, as the manifest reader takes them
    revision   a commit → AliasSets, or why it cannot be used
    agent      one look: where the ref is, which revision is in force, what is to be done, and doing it
    progress   which of its changes are still to be made, and which others undid
    in_place   what each set wanted when it was last all in place, across restarts
    verifying  what earlier runs moved and did not verify: what is verified again, and what is left
    pace       when to look again: jitter, back-off, and drift that others keep making
    finding    what a look found, for the log, `/status`, the metrics and the exit code
    main       the loop, and what surrounds it

The agent writes only what it has just seen at the ref: while the repository cannot be read, nothing is changed. A
revision that cannot be used leaves the last good one in force.
"""
