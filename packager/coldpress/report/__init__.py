"""The report of a shrink: one page to look at that needs no network, and the same as JSON."""

from coldpress.report.page import render_report, write_report

__all__ = ["render_report", "write_report"]
