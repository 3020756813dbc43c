"""The GraphQL part of W&B's protocol: `schema.graphql` lists the fields, and the modules beside it resolve them."""

from mnist_sweep.server.gql.execute import execute, transaction
from mnist_sweep.server.gql.registry import Context

__all__ = ["Context", "execute", "transaction"]
