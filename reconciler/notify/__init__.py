"""Deliver notifications: from the outbox in the journal to the receivers of a MilvusConnection.

    journal.notifying   what a run or a plan reports        recorded with its cause
    journal.outbox      what waits, per receiver
    courier             delivers in the background, in order, until the receiver accepts
    messages            what is sent, by format

Nothing here is imported by a run that notifies nobody.
"""
