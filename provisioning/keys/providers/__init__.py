"""Sources of the key-encryption key, one module each; `provisioning.keys.kek` chooses among them by setting."""
