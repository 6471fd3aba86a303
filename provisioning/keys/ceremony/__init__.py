"""The key ceremony: two people make the key-encryption key by a script that writes its own protocol."""
