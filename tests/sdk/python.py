"""The generated Python client before a server that runs. One line for each check, then the counts.

python tests/sdk/python.py URL, with ADMIN and PASSWORD in the environment.
"""

import os
import sys
import traceback
import uuid

from daypass_client import AuthenticatedClient, Client
from daypass_client.api.check import check_token, check_token_head
from daypass_client.api.session import login
from daypass_client.api.tokens import get_token, issue_token, list_tokens, revoke_token
from daypass_client.api.users import create_user
from daypass_client.models import (
    ActiveToken,
    CreateUserRequest,
    IssuedToken,
    IssueRequest,
    LoginRequest,
    Problem,
    TokenKind,
    TokenPage,
    TokenState,
    User,
)

base = sys.argv[1]
own_password = "quiet rivers bend slowly"
passed = failed = 0


def check(name, body):
    global passed, failed
    try:
        body()
        passed += 1
        print(f"ok      {name}")
    except Exception:
        failed += 1
        print(f"FAILED  {name}\n{traceback.format_exc()}")


def with_token(token):
    return AuthenticatedClient(base_url=base, token=token)


def log_in(username, password):
    issued = login.sync(client=Client(base_url=base), body=LoginRequest(username=username, password=password))
    assert isinstance(issued, IssuedToken), issued
    return issued


def assert_problem(answer, status, kind):
    assert isinstance(answer, Problem), answer
    assert (answer.status, answer.type_) == (status, kind), answer


def logs_in():
    global mine
    admin = with_token(log_in(os.environ["ADMIN"], os.environ["PASSWORD"]).token)
    user = create_user.sync(client=admin, body=CreateUserRequest(username="python", password=own_password))
    assert isinstance(user, User) and user.last_login_at is None, user
    session = log_in("python", own_password)
    assert session.kind is TokenKind.SESSION and session.user.username == "python", session
    mine = with_token(session.token)


def issues():
    global issued
    requests = [IssueRequest(name=f"number {number}", ttl=3600) for number in range(3)]
    issued = [issue_token.sync(client=mine, body=request) for request in requests]
    for token in issued:
        assert isinstance(token, IssuedToken) and token.kind is TokenKind.API, token
        assert (token.expires_at - token.created_at).total_seconds() == 3600, token


def checks():
    active = check_token.sync(client=with_token(issued[0].token))
    assert isinstance(active, ActiveToken) and active.active is True, active
    assert (active.id, active.name, active.user.username) == (issued[0].id, "number 0", "python"), active
    head = check_token_head.sync_detailed(client=with_token(issued[0].token))
    assert head.status_code == 200 and head.headers["remote-user"] == "python", head


def lists():
    first = list_tokens.sync(client=mine, limit=2)
    assert isinstance(first, TokenPage) and len(first.items) == 2, first
    second = list_tokens.sync(client=mine, limit=2, cursor=first.next_cursor)
    assert isinstance(second, TokenPage) and second.next_cursor is None, second
    names = [token.name for token in first.items + second.items]
    assert names == ["number 2", "number 1", "number 0", None], names


def is_refused():
    assert_problem(list_tokens.sync(client=with_token("dps_nonsense")), 401, "urn:problem-type:daypass:token-unknown")


def finds_nothing():
    assert_problem(get_token.sync(client=mine, id=str(uuid.uuid4())), 404, "about:blank")


def revokes():
    assert revoke_token.sync_detailed(client=mine, id=str(issued[0].id)).status_code == 204
    assert get_token.sync(client=mine, id=str(issued[0].id)).state is TokenState.REVOKED
    refused = check_token.sync(client=with_token(issued[0].token))
    assert_problem(refused, 401, "urn:problem-type:daypass:token-revoked")


check("Python logs in", logs_in)
check("Python issues", issues)
check("Python checks", checks)
check("Python lists two pages", lists)
check("Python is told of a bad token, with a type", is_refused)
check("Python is told of an unknown id, with a type", finds_nothing)
check("Python revokes", revokes)

# As cargo's runner ends, for tests/run to count.
print(f"\ntest result: {'FAILED' if failed else 'ok'}. {passed} passed; {failed} failed; in Python")
sys.exit(1 if failed else 0)
