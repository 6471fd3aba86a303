"""Reading a supplier's file as a table of cells, within bounds, whatever it turns out to be."""

from provisioning.batches.files.table import Hints, Table, open_table

__all__ = ["Hints", "Table", "open_table"]
