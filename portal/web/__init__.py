"""The pages: server-rendered, kept alive by htmx and one event stream; reads through queries, writes through services."""
