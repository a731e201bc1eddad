"""The world around the core: HTTP kit, state in SQL, the vault, mapping expressions, webhooks, telemetry, runner and command line."""
