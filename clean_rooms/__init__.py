"""The clean room: collaboration as code, identities, and the protected query. Comes in: settings and boto3 sessions."""
