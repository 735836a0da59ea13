"""How scenarios are played. Nothing here knows a single row, and nothing reads Trueup's catalog or index behind its back."""
