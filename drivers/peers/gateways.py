"""The gateways, each with a configuration that asks 50 meters for ten floats every second.

Timeouts are one second where they can be set; everything else is as it comes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from field import UNITS, Field
from process import Child, free_port

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / "target/peers"
MODEL = Path(__file__).parent / "ten-floats.toml"


def our_config(state: Path, broker: int, page: int, body: str) -> str:
    """A configuration of ours, with everything on that a site has."""
    return f"""
templates = "models"
[site]
name = "peers"
state = "{state}"
[tariff]
off_peak = "0.18"
peak = "0.32"
feed_in = "0.08"
[broker]
listen = "127.0.0.1:{broker}"
[web]
listen = "127.0.0.1:{page}"
[chain]
kind = "embedded"
chain_id = 31337
rpc_listen = "127.0.0.1:0"
{body}"""


def our_meter(name: str, bus: str, unit: int, period: str) -> str:
    """A customer and the meter."""
    return (
        f'[[account]]\nid = "{name}"\n[[meter]]\nid = "{name}"\nbus = "{bus}"\nunit = {unit}\n'
        f'model = "ten-floats"\naccount = "{name}"\nperiod = "{period}"\n'
    )


def our_gateway(folder: Path, page: int, body: str) -> Child:
    """Writes the configuration and starts the real program."""
    (folder / "models").mkdir(exist_ok=True)
    (folder / "models/ten-floats.toml").write_text(MODEL.read_text())
    (folder / "gateway.toml").write_text(our_config(folder / "state", free_port(), page, body))
    return Child([ROOT / "target/release/microgrid-gateway", "run", "-c", "gateway.toml"], folder)


def ours(folder: Path, field: Field, _broker: int) -> Child:
    body = f'[[bus]]\nid = "port"\nkind = "modbus-tcp"\naddress = "{field.host}:{field.port}"\ntimeout = "1s"\n'
    body += "".join(our_meter(f"m{n}", "port", n, "1s") for n in range(1, UNITS + 1))
    return our_gateway(folder, free_port(), body)


def modpoll(folder: Path, field: Field, broker: int) -> Child:
    lines = []
    for n in range(1, UNITS + 1):
        lines += [f"device,m{n},{n}", "poll,input_register,0,20,BE_BE"]
        lines += [f"ref,v{i},{2 * i},float32,r" for i in range(10)]
    (folder / "meters.csv").write_text("\n".join(lines) + "\n")
    # By default it rests half a second after each question. In its default MQTT 3.1.1 mode this version falls over.
    command = [PEERS / "modpoll/bin/modpoll", "-d", "-f", "meters.csv", "--tcp", field.host, "--tcp-port", field.port]
    command += ["-r", 1, "--interval", 0, "--timeout", 1, "--loglevel", "ERROR"]
    command += ["--mqtt-host", "127.0.0.1", "--mqtt-port", broker, "--mqtt-version", "5.0"]
    return Child(command, folder)


def collectd(folder: Path, field: Field, _broker: int) -> Child:
    config = ["Interval 1", 'TypesDB "/usr/share/collectd/types.db"', f'BaseDir "{folder}"', f'PIDFile "{folder}/pid"']
    config += ["LoadPlugin modbus", "LoadPlugin write_prometheus"]
    config += ["<Plugin write_prometheus>", 'Host "127.0.0.1"', f'Port "{free_port()}"', "</Plugin>", "<Plugin modbus>"]
    for i in range(10):
        config += [f'<Data "v{i}">', f"RegisterBase {2 * i}", "RegisterType Float", "RegisterCmd ReadInput"]
        config += ["Type gauge", f'Instance "v{i}"', "</Data>"]
    config += ['<Host "field">', f'Address "{field.host}"', f'Port "{field.port}"', "Interval 1"]
    for n in range(1, UNITS + 1):
        config += [f"<Slave {n}>", f'Instance "m{n}"', *(f'Collect "v{i}"' for i in range(10)), "</Slave>"]
    (folder / "collectd.conf").write_text("\n".join([*config, "</Host>", "</Plugin>", ""]))
    return Child(["/usr/sbin/collectd", "-f", "-C", folder / "collectd.conf"], folder)


def thingsboard(folder: Path, field: Field, broker: int) -> Child:
    [package] = (PEERS / "thingsboard/lib").glob("python3*/site-packages/thingsboard_gateway")
    sample = json.loads((package / "config/tb_gateway.json").read_text())
    sample["thingsboard"] |= {"host": "127.0.0.1", "port": broker, "remoteConfiguration": False}
    sample["connectors"] = [{"type": "modbus", "name": "field", "configuration": "modbus.json"}]
    values = [
        {"tag": f"v{i}", "type": "32float", "functionCode": 4, "objectsCount": 2, "address": 2 * i} for i in range(10)
    ]
    slave = {"host": field.host, "port": field.port, "type": "tcp", "method": "socket", "timeout": 1}
    slave |= {"byteOrder": "BIG", "wordOrder": "BIG", "pollPeriod": 1000, "timeseries": values, "attributes": []}
    slaves = [slave | {"unitId": n, "deviceName": f"m{n}"} for n in range(1, UNITS + 1)]
    (folder / "tb_gateway.json").write_text(json.dumps(sample))
    (folder / "modbus.json").write_text(json.dumps({"master": {"slaves": slaves}}))
    (folder / "logs.json").write_text((package / "config/logs.json").read_text())
    (folder / "logs").mkdir()
    python = PEERS / "thingsboard/bin/python"
    start = "from thingsboard_gateway.tb_gateway import main; main()"
    return Child([python, "-c", start], folder, {"TB_GW_CONFIG_DIR": f"{folder}/"})


DECODE = """
const bytes = Buffer.alloc(40);
msg.payload.forEach((word, i) => bytes.writeUInt16BE(word, 2 * i));
msg.payload = Array.from({ length: 10 }, (_, i) => bytes.readFloatBE(4 * i));
return msg;
"""


def node_red(folder: Path, field: Field, broker: int) -> Child:
    flow = [
        {"id": "flow", "type": "tab", "label": "field"},
        {"id": "broker", "type": "mqtt-broker", "broker": "127.0.0.1", "port": broker, "clientid": "", "keepalive": 60},
        {"id": "out", "z": "flow", "type": "mqtt out", "broker": "broker", "topic": "", "qos": "1", "wires": []},
        {"id": "decode", "z": "flow", "type": "function", "func": DECODE, "outputs": 1, "wires": [["out"]]},
        {
            "id": "client", "type": "modbus-client", "name": "", "clienttype": "tcp", "bufferCommands": True,
            "stateLogEnabled": False, "queueLogEnabled": False, "failureLogEnabled": True, "tcpHost": field.host,
            "tcpPort": field.port, "tcpType": "DEFAULT", "unit_id": 1, "commandDelay": 1, "clientTimeout": 1000,
            "reconnectOnTimeout": True, "reconnectTimeout": 2000, "parallelUnitIdsAllowed": True,
        },
    ]  # fmt: skip
    for n in range(1, UNITS + 1):
        flow.append({
            "id": f"read{n}", "z": "flow", "type": "modbus-read", "topic": f"m{n}", "unitid": n, "adr": 0,
            "dataType": "InputRegister", "quantity": 20, "rate": 1, "rateUnit": "s", "server": "client",
            "wires": [["decode"], []],
        })  # fmt: skip
    (folder / "flows.json").write_text(json.dumps(flow))
    settings = {"uiHost": "127.0.0.1", "uiPort": free_port(), "flowFile": "flows.json", "userDir": str(folder)}
    settings |= {"telemetry": {"enabled": False, "updateNotification": False}}
    (folder / "settings.js").write_text(f"module.exports = {json.dumps(settings)};\n")
    command = ["node", PEERS / "node/node_modules/node-red/red.js", "--settings", folder / "settings.js"]
    return Child(command, folder)


@dataclass
class Gateway:
    """One row of the comparison."""

    name: str
    start: object
    needs: list[Path]

    @property
    def missing(self) -> str | None:
        absent = [str(path) for path in self.needs if not path.exists()]
        return f"not installed: {', '.join(absent)}" if absent else None


BROKER = Path("/usr/sbin/mosquitto")
GATEWAYS = [
    Gateway("ours", ours, [ROOT / "target/release/microgrid-gateway"]),
    Gateway("modpoll 1.6.0", modpoll, [PEERS / "modpoll/installed", BROKER]),
    Gateway("collectd 5.12", collectd, [Path("/usr/lib/collectd/write_prometheus.so")]),
    Gateway("ThingsBoard gateway 3.8.5", thingsboard, [PEERS / "thingsboard/installed", BROKER]),
    Gateway("Node-RED 4.1.8", node_red, [PEERS / "node/installed", BROKER]),
]
