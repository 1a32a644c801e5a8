"""Scoring many records: whole objects and files, row by row, each row exactly once.

Nothing here is imported until there is a job to do, so it may need what the answering side does without: numpy and
orjson, and a provider's SDK where its store is read.
"""
