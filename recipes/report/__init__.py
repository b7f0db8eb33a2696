"""A run, a cross-validation, several seeds or an experiment as one HTML file, `report.html`."""

from plumkeras.recipes.report.writing import ReportWarning, check_reportable, report_or_warn, write_report

__all__ = ["ReportWarning", "check_reportable", "report_or_warn", "write_report"]
