"""`python -m concentrator_agent` is `concentrator-agent`."""

from concentrator_agent.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
