"""The doors: command line, HTTP, gallery."""
