"""A local Azure: Azurite for Azure Storage, and what the Functions host does around a blob trigger."""
