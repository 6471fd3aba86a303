"""Reading a supplier's file as a table of cells, within bounds, whatever it turns out to be."""

from provisioning.batches.files.table import MAX_BYTES, MAX_COLUMNS, MAX_ROWS, Hints, Table, open_table

__all__ = ["MAX_BYTES", "MAX_COLUMNS", "MAX_ROWS", "Hints", "Table", "open_table"]
