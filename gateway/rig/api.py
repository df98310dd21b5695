"""Whether the interface does what its own document says: schemathesis asks a running house whatever the document lets it ask,
and much that it does not, with a token that may only look and with one that may do everything.

    target/api/bin/python gateway/rig/api.py [--seconds 45] [--seed N]

It judges: no answer is a 5xx, for the house is well; every status, content type and body is documented; whoever sends no token
where one is needed is not answered; what the document forbids is not taken. The server-sent events never end, so of these the
first is read here, and must be what /api/v1/state is documented as.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import jsonschema_rs
from street import EMBEDDED, Site, say, until, verb

SCHEMATHESIS = Path(sys.executable).parent / "schemathesis"
TOKENS = {"may only look": "read", "may do everything": "read,metrics,money,meters,prices"}
# Not that good data are taken: accounts, amounts and instants have rules that no schema says.
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,negative_data_rejection,unsupported_method,allow_header_conformance,ignored_auth"
)


def document(site: Site, token: str) -> dict:
    request = urllib.request.Request(f"http://127.0.0.1:{site.page}/api/v1/openapi.json", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def with_names(told: dict, site: Site) -> dict:
    """The document, with the accounts and meters that this street has: guessed names would only ever be answered 404."""
    names = [name for name, _, _ in site.places()]
    for operations in told["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", []):
                if parameter.get("in") == "path" and parameter["name"] in ("account", "meter"):
                    parameter["examples"] = {name: {"value": name} for name in names}
    return told


def first_event(site: Site, token: str, told: dict) -> None:
    """Fails if the first event is not what the document says of the state."""
    request = urllib.request.Request(f"http://127.0.0.1:{site.page}/api/v1/events", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        if answer.headers["Content-Type"] != "text/event-stream":
            raise RuntimeError(f"events come as {answer.headers['Content-Type']}")
        kind, data = answer.readline().decode().strip(), answer.readline().decode()
    if kind != "event: state":
        raise RuntimeError(f"the first event is {kind!r}")
    schema = {"$ref": "#/components/schemas/State", "components": told["components"]}
    jsonschema_rs.validate(schema, json.loads(data.removeprefix("data: ")))


def ask(site: Site, token: str, folder: Path, seconds: int, seed: int) -> bool:
    """One run; whether nothing was found."""
    done = subprocess.run(
        [
            *(SCHEMATHESIS, "run", folder / "openapi.json", "--url", f"http://127.0.0.1:{site.page}"),
            *("--header", f"Authorization: Bearer {token}", "--checks", CHECKS, "--exclude-path", "/api/v1/events"),
            *("--max-time", str(seconds), "--seed", str(seed), "--request-timeout", "25", "--continue-on-failure"),
            *("--suppress-health-check", "all", "--warnings", "off", "--no-color"),
        ],
        cwd=folder,
        check=False,
    )
    return done.returncode == 0


def main() -> int:
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--seconds", type=int, default=45, help="for each token")
    args.add_argument("--seed", type=int, default=random.randrange(2**31), help="what schemathesis draws from")
    args = args.parse_args()
    well = True
    with tempfile.TemporaryDirectory(prefix="microgrid-api-") as room:
        site = Site("lane", Path(room), 3, EMBEDDED, switches=True)
        with site.devices(), site.run() as house:
            until("a ledger", 60, (site.folder / "state/ledger.db").exists)
            for n, (who, scopes) in enumerate(TOKENS.items()):
                token = verb("access", "token", "create", f"api-{n}", "--scope", scopes, "--by", "rig", "-c", site.config).strip()
                told = until("the document", 60, lambda token=token: reached(site, token))
                first_event(site, token, told)
                (site.folder / "openapi.json").write_text(json.dumps(with_names(told, site)))
                say(f"with a token that {who}, seed {args.seed}")
                well &= ask(site, token, site.folder, args.seconds, args.seed)
                if not house.alive:
                    say(f"the gateway ended: {house.tail()}")
                    return 1
    return 0 if well else 1


def reached(site: Site, token: str) -> dict | None:
    try:
        return document(site, token)
    except OSError:
        return None


if __name__ == "__main__":
    sys.exit(main())
