"""Explore the core exhaustively: the real `make_plan` and `apply_plan`, at every choice that an execution has.

    schedule     the choices of one execution, and the search through all of them
    one_thread   threads and time are replaced, so that an execution is a function of its choices
    world        a Milvus in memory where calls fail, get lost, come late, and others move aliases
    ledger       a journal in memory, whose entries and decisions are the real ones
    promises     what must hold in every execution: read this first
    cases        what is explored
    explorer     runs one after another, from every state that the earlier ones can leave

An execution is repeated from its start for each schedule of faults, depth-first, with a budget of faults. What a
program does next depends only on what it was answered, so two executions are in the same state if they got the same
answers and left the same server: the second one is cut off there.
"""
