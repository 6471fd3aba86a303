"""The way to the portal: outbox pump and targets."""
