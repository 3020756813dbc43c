"""The GraphQL side of W&B's protocol: `schema.graphql` says what can be asked, the modules beside it answer."""

from mnist_sweep.server.gql.execute import execute, transaction
from mnist_sweep.server.gql.registry import Context

__all__ = ["Context", "execute", "transaction"]
