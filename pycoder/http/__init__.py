"""HTTP for all blueprints: requests, headers, problems, OpenAPI."""
