"""Verify on a real server that it behaves as the table of server behaviour says: `aliasctl check --exercise`.

    leftovers ─▶ set up ─▶ each exercise: expected (by version) ─ observed ─▶ finding ─▶ clean up ─▶ ExerciseReport
    `cleanup`    `session`              `exercise` has the form; `alias_calls`, `collections`, `data`, `moves` the list

This is the only part that creates collections. All of its names begin with `aliasctl_check_`; the `Sandbox` that makes
the calls refuses any other. To add an exercise, write what it observes, and add it to the list of its module with the
results that are expected, the row of the table if it depends on one, and the guard that relies on it.
"""
