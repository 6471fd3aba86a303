"""The Django project and the flows: telemetry, bridge, api, web, ops."""
