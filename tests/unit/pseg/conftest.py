"""The embedded AWS for the tests of this room."""

from tests.embedded_aws import accounts as accounts
