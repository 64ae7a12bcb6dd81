"""Runs the server from its environment, as `leo serve` does, without the command line."""

from server.config import ServerSettings, load_settings
from server.main import serve

if __name__ == "__main__":
    serve(load_settings(ServerSettings))
