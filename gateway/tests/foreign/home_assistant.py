"""A real Home Assistant beside a gateway with its own broker: what appears there, what survives, and whether statistics add up.

    home_assistant.py PROGRAM HASS [--keep]

Nothing of Home Assistant is stood in for: it is onboarded, told of the broker and asked over its own REST and WebSocket
interfaces. It compiles statistics every five minutes by the clock, so this takes about twelve. Ends with 1 if anything fails.
"""

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

import aiohttp

GATEWAY = """[site]
name = "lane"
state = "state"

[tariff]
off_peak = "0.18"
peak = "0.32"
feed_in = "0.08"
peak_hours = ["17:00-22:00"]

[web]
listen = "127.0.0.1:0"

[chain]
kind = "embedded"
chain_id = 31337
rpc_listen = "127.0.0.1:0"

[broker]
listen = "127.0.0.1:{mqtt}"
customer_commands = {wishes}

[[bus]]
id = "lan"
kind = "modbus-tcp"
address = "127.0.0.1:{modbus}"
simulate = true

[[bus]]
id = "air"
kind = "mqtt"
broker = "embedded"

[[bus]]
id = "yard"
kind = "modbus-tcp"
address = "127.0.0.1:{yard}"

[[account]]
id = "hall"

[[meter]]
id = "hall"
account = "hall"
bus = "lan"
unit = 1
model = "sim-home"
period = "2s"

[[switch]]
id = "hall"
account = "hall"
bus = "lan"
unit = 1
model = "sim-home"
on_silence = "hold"

[[account]]
id = "attic"

[[meter]]
id = "attic"
account = "attic"
bus = "air"
topic = "lane/attic"
model = "generic-json"
period = "60s"
"""
BARN = """
[[account]]
id = "barn"

[[meter]]
id = "barn"
account = "barn"
bus = "yard"
unit = 1
model = "sim-home"
period = "2s"
"""
SHED = """
[[account]]
id = "shed"

[[meter]]
id = "shed"
account = "shed"
bus = "lan"
unit = 2
model = "sim-home"
period = "2s"
"""
HOME = """homeassistant:
  name: lane
  latitude: 0
  longitude: 0
  elevation: 0
  unit_system: metric
  time_zone: UTC
  currency: EUR
  country: DE
http:
  server_host: 127.0.0.1
  server_port: {http}
api:
websocket_api:
config:
onboarding:
history:
energy:
recorder:
  commit_interval: 1
logger:
  default: warning
"""
# What each part of a meter must be, as the energy dashboard and its cards ask for it.
CLASSES = {
    "import_kwh": ("energy", "total_increasing", "kWh"),
    "export_kwh": ("energy", "total_increasing", "kWh"),
    "power_w": ("power", "measurement", "W"),
    "voltage_v": ("voltage", "measurement", "V"),
    "current_a": ("current", "measurement", "A"),
    "frequency_hz": ("frequency", "measurement", "Hz"),
    "balance": ("monetary", "total", "EUR"),
    "credit": ("enum", None, None),
}
failures = []


def say(fine, what):
    print(f"  {'holds' if fine else 'FAILS'}  {what}", flush=True)
    if not fine:
        failures.append(what)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


async def eventually(what, look, patience=240):
    """What `look` returns once it is true; None, and a failure, if that never comes."""
    end = time.monotonic() + patience
    while True:
        try:
            if found := await look():
                return found
        except (aiohttp.ClientError, ConnectionError, asyncio.TimeoutError):
            pass
        if time.monotonic() > end:
            say(False, f"{what} (waited {patience} s)")
            return None
        await asyncio.sleep(0.5)


class Running:
    """A program whose output goes to a file."""

    def __init__(self, args, log):
        self.args, self.log, self.process = args, log, None

    async def start(self):
        self.process = await asyncio.create_subprocess_exec(
            *self.args, stdout=open(self.log, "ab"), stderr=asyncio.subprocess.STDOUT)
        return self

    async def stop(self, how):
        if self.process and self.process.returncode is None:
            self.process.send_signal(how)
            await self.process.wait()


class Home:
    """Home Assistant, by its interfaces."""

    def __init__(self, port, session):
        self.base, self.session, self.token, self.socket, self.number = f"http://127.0.0.1:{port}", session, None, None, 0

    async def post(self, path, what, form=False):
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        async with self.session.post(self.base + path, headers=headers, **({"data": what} if form else {"json": what})) as r:
            text = await r.text()
            if r.status >= 400:
                raise RuntimeError(f"{path}: {r.status} {text}")
            return json.loads(text)

    async def up(self):
        async with self.session.get(self.base + "/api/", headers={"Authorization": f"Bearer {self.token}"}) as r:
            return r.status in (200, 401)

    async def onboard(self):
        client = self.base + "/"
        made = await self.post("/api/onboarding/users", {
            "client_id": client, "name": "Ana", "username": "ana", "password": os.urandom(12).hex(), "language": "en"})
        grant = {"grant_type": "authorization_code", "code": made["auth_code"], "client_id": client}
        self.token = (await self.post("/auth/token", grant, form=True))["access_token"]
        await self.post("/api/onboarding/core_config", {})

    async def broker(self, port):
        flow = await self.post("/api/config/config_entries/flow", {"handler": "mqtt"})
        done = await self.post(f"/api/config/config_entries/flow/{flow['flow_id']}", {"broker": "127.0.0.1", "port": port})
        assert done["type"] == "create_entry", done

    async def ask(self, kind, **what):
        if self.socket is None or self.socket.closed:
            self.socket = await self.session.ws_connect(self.base + "/api/websocket", max_msg_size=0)
            await self.socket.receive_json()
            await self.socket.send_json({"type": "auth", "access_token": self.token})
            assert (await self.socket.receive_json())["type"] == "auth_ok"
            self.number = 0
        self.number += 1
        try:
            await self.socket.send_json({"id": self.number, "type": kind, **what})
        except aiohttp.ClientError:
            # It hangs up on who was quiet for long: the next question opens a new one.
            self.socket = None
            raise
        while True:
            answer = await self.socket.receive_json(timeout=60)
            if answer.get("id") == self.number:
                if not answer["success"]:
                    raise RuntimeError(f"{kind}: {answer['error']}")
                return answer["result"]

    async def devices(self):
        """Ours, by their identifier."""
        found = await self.ask("config/device_registry/list")
        return {i[1]: d for d in found for i in d["identifiers"] if i[0] == "mqtt"}

    async def entities(self):
        """Entity ids by unique id."""
        found = await self.ask("config/entity_registry/list")
        return {e["unique_id"]: e["entity_id"] for e in found if e["platform"] == "mqtt"}

    async def states(self):
        return {s["entity_id"]: s for s in await self.ask("get_states")}

    async def act(self, domain, service, **data):
        return await self.ask("call_service", domain=domain, service=service, service_data=data)

    async def sums(self, entities, since):
        return await self.ask("recorder/statistics_during_period", start_time=since.isoformat(), period="5minute",
                              statistic_ids=entities, types=["state", "sum"])


async def main(program, hass, room):
    mqtt, modbus, yard, http = (free_port() for _ in range(4))
    street = room / "gateway.toml"
    text = GATEWAY.format(mqtt=mqtt, modbus=modbus, yard=yard, wishes="WISHES") + BARN
    config = lambda wishes, more: street.write_text(text.replace("WISHES", wishes) + more)
    config("true", SHED)
    # The barn's meter is a program of its own, which can be ended.
    (room / "barn").mkdir()
    simulated = text[:text.index("[broker]")] + f"[[bus]]\nid = \"yard\"\nkind = \"modbus-tcp\"\naddress = \"127.0.0.1:{yard}\"\nsimulate = true\n" + BARN
    (room / "barn/barn.toml").write_text(simulated)
    barn = Running([program, "simulate", "-c", room / "barn/barn.toml"], room / "barn.log")
    (room / "ha").mkdir()
    (room / "ha/configuration.yaml").write_text(HOME.format(http=http))
    gateway = Running([program, "run", "-c", street], room / "gateway.log")
    house = Running([hass, "-c", room / "ha", "--log-no-color"], room / "ha.log")
    began = datetime.now(timezone.utc)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        home = Home(http, session)
        try:
            await barn.start()
            await gateway.start()
            await house.start()
            await walk(home, house, gateway, barn, config, mqtt, began)
        finally:
            if home.socket:
                await home.socket.close()
            await gateway.stop(signal.SIGTERM)
            await house.stop(signal.SIGTERM)
            await barn.stop(signal.SIGTERM)
    exported = await asyncio.create_subprocess_exec(program, "journal", "export", "-c", street, stdout=asyncio.subprocess.PIPE)
    journal = (await exported.communicate())[0].decode()
    say('"Home Assistant by MQTT"' in journal, "what is pressed in Home Assistant stands in the gateway's journal, with who pressed it")
    complaints(room)


async def walk(home, house, gateway, barn, config, mqtt, began):
    key = lambda meter, part: f"microgrid_lane_{meter}_{part}"
    if not await eventually("Home Assistant starts", home.up, 900):
        return
    await home.onboard()
    await home.broker(mqtt)

    async def appeared():
        found = await home.entities()
        return found if all(key(m, p) in found for m in ("hall", "attic", "shed", "barn") for p in CLASSES) else None

    entities = await eventually("every meter's sensors appear", appeared)
    if not entities:
        return
    say(True, f"{len(entities)} entities of {len(await home.devices())} devices appear after the broker is named")
    register = 1000.0
    attic, hall = entities[key("attic", "import_kwh")], entities[key("hall", "import_kwh")]

    async def told(entity, value):
        state = (await home.states())[entity]["state"]
        return state not in ("unknown", "unavailable") and float(state) == value

    async def reading(wh):
        """Home Assistant plays the attic's meter too: it is an MQTT client like any other."""
        payload = json.dumps({"import_wh": int(wh), "power_w": 1200, "voltage_v": 229.5})
        await home.act("mqtt", "publish", topic="lane/attic/reading", payload=payload, qos=1)
        return await eventually(f"the attic shows {wh} Wh", lambda: told(attic, wh / 1000), 90)

    await reading(register)
    states = await eventually("the hall is read", lambda: read_all(home, entities, key))
    if not states:
        return
    for meter in ("hall", "attic"):
        wrong = []
        for part, wanted in CLASSES.items():
            a = states[entities[key(meter, part)]]["attributes"]
            if (a.get("device_class"), a.get("state_class"), a.get("unit_of_measurement")) != wanted:
                wrong.append(f"{part}: {a}")
        say(not wrong, f"{meter}: device class, state class and unit of {len(CLASSES)} sensors {'; '.join(wrong)}")
    a = states[entities["microgrid_lane_price"]]
    say(a["attributes"].get("unit_of_measurement") == "EUR/kWh" and float(a["state"]) in (0.18, 0.32),
        f"the price is {a['state']} EUR/kWh, as the energy dashboard takes one")
    parents = await home.devices()
    via = {d["via_device_id"] for i, d in parents.items() if i != "microgrid_lane"}
    say(via == {parents["microgrid_lane"]["id"]}, "every meter is reached through the gateway")

    await home.ask("energy/save_prefs", energy_sources=[{
        "type": "grid", "cost_adjustment_day": 0, "flow_to": [], "flow_from": [{
            "stat_energy_from": entity, "stat_cost": None, "number_energy_price": None,
            "entity_energy_price": entities["microgrid_lane_price"]} for entity in (hall, attic)]}], device_consumption=[])

    buttons = [entities.get(key("hall", part)) for part in ("emergency", "reconnect")]
    if all(buttons):
        for button in buttons:
            await home.act("button", "press", entity_id=button)
    else:
        say(False, f"wishes that the operator allows are buttons: {buttons}")

    # A meter that is silent is unavailable, and one that answers is not.
    yard = entities[key("barn", "import_kwh")]
    await eventually("the barn is read", lambda: somebody(home, yard))
    await barn.stop(signal.SIGKILL)
    if await eventually("the barn is unavailable once it is silent, and the hall is not", lambda: only(home, yard, hall), 120):
        say(True, "a silent meter is unavailable, and one that answers is not")
    register += 137
    await reading(register)

    # The gateway is killed, and the broker with it.
    before = set(await home.entities())
    await gateway.stop(signal.SIGKILL)
    if await eventually("the hall is unavailable while the gateway is gone", lambda: nobody(home, hall), 60):
        say(True, "a meter is unavailable while gateway and broker are gone")
    await gateway.start()
    back = await eventually("the hall comes back", lambda: somebody(home, hall), 240)
    register += 250
    await reading(register)
    say(back and set(await home.entities()) == before, "gateway and broker killed: the same entities come back, none twice")

    # Home Assistant is started again.
    await home.socket.close()
    await house.stop(signal.SIGTERM)
    await house.start()
    await eventually("Home Assistant starts again", home.up, 900)
    back = await eventually("the hall is back after Home Assistant's restart", lambda: somebody(home, hall), 300)
    register += 613
    await reading(register)
    say(back and set(await home.entities()) == before, "Home Assistant started again: the same entities, with their values")
    last = datetime.now(timezone.utc)

    # A device and a part of others that the configuration no longer names.
    await gateway.stop(signal.SIGTERM)
    config("false", "")
    await gateway.start()
    gone = lambda: removed(home, key)
    if await eventually("what is taken out of the configuration disappears", gone, 240):
        say(True, "a meter taken out of the configuration disappears with all its entities, and so do buttons of meters that stay")
    kept = set(await home.entities())
    say(kept == {u for u in before if not u.startswith("microgrid_lane_shed_") and not u.endswith(("_emergency", "_reconnect"))},
        "nothing else disappears")
    # A meter that speaks by itself is known again once it has spoken.
    await reading(register)

    # Statistics of the five minutes in which the last reading came are made ten seconds after these have gone by.
    wait = 300 - last.timestamp() % 300 - (time.time() - last.timestamp()) + 20
    print(f"  … {max(0, round(wait))} s until statistics are made", flush=True)
    await asyncio.sleep(max(0, wait))
    rows = await eventually("statistics are there", lambda: compiled(home, attic, hall, began, register), 400)
    if not rows:
        print(await home.sums([attic, hall], began), file=sys.stderr)
        return
    end = rows[attic][-1]
    say(round(1000 * end["sum"]) == register - 1000 and round(1000 * end["state"]) == register,
        f"statistics of the attic: {round(1000 * end['sum'])} Wh from 1000 to {register:.0f} Wh on its register, over two restarts")
    first, end = rows[hall][0], rows[hall][-1]
    grown = lambda what: round(1000 * (end[what] - first[what]))
    say(len(rows[hall]) > 1 and grown("sum") == grown("state") > 0,
        f"statistics of the hall: {grown('sum')} Wh as its register, over {len(rows[hall])} periods")
    found = await home.ask("energy/validate")
    issues = [i for source in found["energy_sources"] for i in source]
    say(not issues, f"the energy dashboard has nothing against them {issues}")


async def read_all(home, entities, key):
    states = await home.states()
    parts = ("import_kwh", "power_w", "voltage_v")
    wanted = [states.get(entities[key("hall", part)], {}).get("state") for part in parts] + [states.get(entities["microgrid_lane_price"], {}).get("state")]
    return states if all(w not in (None, "unknown", "unavailable") for w in wanted) else None


async def only(home, gone, there):
    states = await home.states()
    return states[gone]["state"] == "unavailable" and states[there]["state"] not in ("unknown", "unavailable")


async def nobody(home, entity):
    return (await home.states())[entity]["state"] == "unavailable"


async def somebody(home, entity):
    return (await home.states()).get(entity, {}).get("state", "unknown") not in ("unknown", "unavailable")


async def removed(home, key):
    devices, entities = await home.devices(), await home.entities()
    parts = (key("hall", "emergency"), key("hall", "reconnect"))
    return "microgrid_lane_shed" not in devices and not any(e.startswith("microgrid_lane_shed_") or e in parts for e in entities)


async def compiled(home, attic, hall, began, register):
    rows = await home.sums([attic, hall], began)
    whole = rows.get(attic) and rows.get(hall) and round(1000 * (rows[attic][-1]["state"] or 0)) == register
    return rows if whole else None


def complaints(room):
    """What Home Assistant's log holds against us: everything but what the killed broker must bring."""
    expected = re.compile(r"Error returned from MQTT server: The connection was lost|Disconnected from MQTT|Failed to connect to MQTT|"
                          r"We found a custom|Unclean shutdown|unfinished session|requires.*PyTurboJPEG")
    lines = [x for x in (room / "ha.log").read_text(errors="replace").splitlines() if " WARNING " in x or " ERROR " in x]
    ours = [x for x in lines if re.search(r"mqtt|sensor|energy|recorder|microgrid", x) and not expected.search(x)]
    for line in ours:
        print(f"    {line}")
    say(not ours, f"Home Assistant complains of nothing of ours ({len(lines)} warnings in all)")


if __name__ == "__main__":
    program, hass = (str(Path(p).absolute()) for p in sys.argv[1:3])
    room = Path(tempfile.mkdtemp(prefix="microgrid-ha-"))
    start = time.monotonic()
    try:
        asyncio.run(main(program, hass, room))
    except Exception as error:  # what went before is worth telling even so
        say(False, f"{type(error).__name__}: {error}")
    print(f"{'all holds' if not failures else f'{len(failures)} failed'}, {round(time.monotonic() - start)} s", flush=True)
    if failures or "--keep" in sys.argv:
        print(f"logs in {room}")
    else:
        shutil.rmtree(room)
    sys.exit(1 if failures else 0)
