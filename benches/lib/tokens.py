"""Users, sessions and tokens in a Daypass that runs; and tokens that look right and are not."""

import json
import random
import time
import zlib

from .client import ask_many, ask_one, request

PASSWORD = "violet lamps hum quietly"
USERS = 64
BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def bearer(token):
    return f"Bearer {token}"


def check_request(token):
    return request("GET", "/v1/check", bearer(token))


def login_request(name):
    return request("POST", "/v1/login", body={"username": name, "password": PASSWORD})


def make_users(port):
    """As many users as there are clients under load; returns their names."""
    admin = json.loads(ask_one(port, login_request("admin"), 200))["token"]
    names = [f"user{number:02}" for number in range(USERS)]
    made = [{"username": name, "password": PASSWORD, "scopes": ["orders:read"]} for name in names]
    ask_many(port, [request("POST", "/v1/users", bearer(admin), body) for body in made], 201)
    return names


def log_in(port, names):
    """A session for each; returns {user id: session token}."""
    answers = [json.loads(body) for body in ask_many(port, [login_request(name) for name in names], 200)]
    return {answer["user"]["id"]: answer["token"] for answer in answers}


def issue_request(session):
    return request("POST", "/v1/tokens", bearer(session), {"name": "bench"})


def issue(port, sessions, count):
    """So many tokens, each user's in turn; returns them with their ids, as (id, token)."""
    owners = list(sessions.values())
    requests = [issue_request(owners[number % len(owners)]) for number in range(count)]
    # As many connections as users: then neighbours in the list do not wait for one user's row.
    answers = [json.loads(body) for body in ask_many(port, requests, 201, connections=64)]
    return [(answer["id"], answer["token"]) for answer in answers]


def unknown():
    """A well-formed token that nobody was given."""
    made_at = int((time.time() - 86_400) * 1000)
    return _sealed("dpk_" + _base62(made_at << 80 | random.getrandbits(74), 22) + _random(32))


def wrong_secret(token):
    """The id of a token that works, with another secret."""
    return _sealed(token[:26] + _random(32))


def _sealed(text):
    return text + _base62(zlib.crc32(text.encode()), 6)


def _random(length):
    return "".join(random.choice(BASE62) for _ in range(length))


def _base62(number, length):
    digits = ""
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits = BASE62[digit] + digits
    return digits
