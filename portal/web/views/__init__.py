"""Views, one module per group of pages."""
