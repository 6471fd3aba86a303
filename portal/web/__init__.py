"""The pages: server-rendered, kept alive by htmx and an event stream; reads by queries, writes by services."""
