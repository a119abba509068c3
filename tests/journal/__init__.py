"""The file of the journal: whatever happens to it, no call is made before it is recorded, and messages are clear."""
