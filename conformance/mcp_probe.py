"""An MCP server over stdio for the tests. Needs the package mcp, which Letta's own Python has. With the argument extra, it has one more tool."""

import sys

from mcp.server.fastmcp import FastMCP

server = FastMCP("conformance")


@server.tool()
def add(a: int, b: int) -> int:
    """Adds two whole numbers."""
    return a + b


@server.tool()
def fail(reason: str) -> str:
    """Always fails."""
    raise ValueError(reason)


if "extra" in sys.argv[1:]:

    @server.tool()
    def echo(text: str) -> str:
        """Gives the text back."""
        return text


server.run()
