"""The report as one page to look at: it opens from a file, and asks no network for anything."""
