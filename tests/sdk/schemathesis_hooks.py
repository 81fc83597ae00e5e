"""What Schemathesis has to know of the service besides the document. BASE, ADMIN and PASSWORD are in the environment.

With TOKEN=with every request carries a token of its own: some operations end the one that they are sent with.
"""

import itertools
import json
import os
import urllib.request
import uuid

import schemathesis


def post(path, body, token=None):
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(os.environ["BASE"] + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def log_in():
    return post("/v1/login", {"username": os.environ["ADMIN"], "password": os.environ["PASSWORD"]})


own = log_in()

if os.environ.get("TOKEN") == "with":

    @schemathesis.auth(refresh_interval=None)
    class Token:
        def get(self, case, context):
            return log_in()["token"]

        def set(self, case, token, context):
            case.headers["Authorization"] = f"Bearer {token}"


numbers = itertools.count()


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    """Every other id that could be one is one: of a token, or of a user, that is made for the request."""
    if not path_parameters:
        return path_parameters
    if "client_id" in path_parameters and next(numbers) % 2:
        path_parameters["client_id"] = post("/v1/clients", {"name": "fuzz"}, log_in()["token"])["client_id"]
    try:
        is_chosen = uuid.UUID(path_parameters["id"]).int % 2 == 0
    except (KeyError, TypeError, ValueError):
        return path_parameters
    path = context.operation.path
    if is_chosen and path.startswith("/v1/tokens/"):
        path_parameters["id"] = post("/v1/tokens", {}, log_in()["token"])["id"]
    if is_chosen and path.startswith("/v1/users/"):
        body = {"username": f"user{next(numbers)}", "password": "quiet rivers bend slowly"}
        path_parameters["id"] = post("/v1/users", body, log_in()["token"])["id"]
    return path_parameters


@schemathesis.hook
def filter_case(context, case):
    """Leaves out what would end the run, and what is accepted on purpose though the schemas do not say so."""
    return not (changes_own_user(case) or has_null_for_nothing(case) or is_clamped(case))


def changes_own_user(case):
    """Whoever logs in for the run is to stay."""
    return case.method in ("PATCH", "DELETE") and (case.path_parameters or {}).get("id") == own["user"]["id"]


def has_null_for_nothing(case):
    """A null counts as left out, for some clients write one for whatever is unset. Were such members declared nullable,
    generated clients would have two ways to say nothing."""
    if case.media_type != "application/json" or not isinstance(case.body, dict):
        return False
    document = case.operation.schema.raw_schema
    name = case.operation.definition.raw["requestBody"]["content"]["application/json"]["schema"]["$ref"].split("/")[-1]
    schema = document["components"]["schemas"][name]
    optional = schema["properties"].keys() - schema.get("required", [])
    return any(value is None and member in optional for member, value in case.body.items())


def is_clamped(case):
    """Whatever ttl a token is renewed with, it goes no further than its end: also one beyond the documented int64."""
    ttl = case.body.get("ttl") if isinstance(case.body, dict) else None
    return case.operation.path.endswith("/renew") and isinstance(ttl, int) and ttl >= 2**63
