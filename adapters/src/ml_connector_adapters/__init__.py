"""The world around the core: HTTP kit, state in SQL, vault, webhooks, telemetry, runner and command line."""
