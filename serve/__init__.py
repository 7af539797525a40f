"""serve: lets people and prompt builders in."""
