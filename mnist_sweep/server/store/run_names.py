"""Pronounceable names for unnamed runs: two words and the number of the run, as W&B gives them."""

import secrets

_FIRST = """
amber bold brave bright brisk calm clear clever cosmic crisp curious dapper deft eager early easy fair fancy fleet
fresh gentle glad golden graceful hardy hearty honest humble jolly keen kind lively lucid lucky mellow merry misty
neat nimble noble patient placid plucky polar prime quick quiet rapid rosy serene sharp silver smooth snowy solar
steady stellar still sturdy sunny swift tidy vivid warm wise
"""
_SECOND = """
anchor aspen badger bay beacon birch breeze brook canyon cedar cloud comet coral cove crane creek dawn delta dune
eagle ember falcon fern field fjord flame forest fox frost garden glade grove harbor hawk heron hill island lake
lantern leaf maple meadow moon oak ocean orchid otter owl pebble pine planet pond rain raven reef ridge river robin
sail shore sky sparrow spring star stone stream summit thunder tide trail valley wave willow wind wolf wren
"""


def word_name(number: int, *, second: str | None = None) -> str:
    """Return a name such as `brisk-harbor-12`; `second` replaces the second word."""
    return f"{secrets.choice(_FIRST.split())}-{second or secrets.choice(_SECOND.split())}-{number}"
