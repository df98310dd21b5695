"""What paho makes of the broker.

    paho_client.py PORT VERSION before|after

VERSION is 3 or 5. "before" tries everything and leaves a session with messages that wait; "after", when the broker was killed
and started again, takes them. Says "well" at the end; whatever does not hold ends it with a traceback.
"""

import queue
import socket
import sys
import time

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

PORT, V5, WHEN = int(sys.argv[1]), sys.argv[2] == "5", sys.argv[3]
VERSION = mqtt.MQTTv5 if V5 else mqtt.MQTTv311
PATIENCE = 30
# Beside the other version's in the same broker.
ROOM = f"paho{sys.argv[2]}"


def properties(kind, **values):
    made = Properties(kind)
    for name, value in values.items():
        setattr(made, name, value)
    return made


class Client:
    def __init__(self, name, lasting=False, keepalive=60, will=None, runs=True):
        self.heard, self.acks, self.closed, self.opened = queue.Queue(), queue.Queue(), queue.Queue(), queue.Queue()
        clean = {} if V5 else {"clean_session": not lasting}
        self.paho = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, name, protocol=VERSION, reconnect_on_failure=False, **clean
        )
        self.paho.on_message = lambda _c, _u, message: self.heard.put(message)
        self.paho.on_subscribe = lambda _c, _u, _mid, codes, _p: self.acks.put(codes)
        self.paho.on_unsubscribe = lambda _c, _u, _mid, codes, _p: self.acks.put(codes)
        self.paho.on_connect = lambda _c, _u, flags, code, props: self.opened.put((flags, code, props))
        self.paho.on_disconnect = lambda _c, _u, _flags, code, _p: self.closed.put(code)
        self.paho.max_inflight_messages_set(100)
        if will:
            self.paho.will_set(**will)
        start = {}
        if V5:
            start["clean_start"] = not lasting
            start["properties"] = properties(PacketTypes.CONNECT, SessionExpiryInterval=600 if lasting else 0)
        self.paho.connect("127.0.0.1", PORT, keepalive, **start)
        if runs:
            self.paho.loop_start()
        else:
            while self.opened.empty():
                self.paho.loop(0.1)
        self.flags, self.code, self.said = self.opened.get(timeout=PATIENCE)

    def subscribe(self, *filters, qos=2, **options):
        if V5:
            how = SubscribeOptions(qos=qos, **options)
            self.paho.subscribe([(f, how) for f in filters])
        else:
            self.paho.subscribe([(f, qos) for f in filters])
        return [code.value for code in self.acks.get(timeout=PATIENCE)]

    def publish(self, topic, payload, qos=1, retain=False, **values):
        said = properties(PacketTypes.PUBLISH, **values) if values else None
        self.paho.publish(topic, payload, qos, retain, said).wait_for_publish(PATIENCE)

    def next(self):
        return self.heard.get(timeout=PATIENCE)

    def until(self, last):
        """All that comes, up to a payload."""
        heard = []
        while not heard or heard[-1].payload != last:
            heard.append(self.next())
        return heard

    def leave(self):
        self.paho.disconnect()
        self.paho.loop_stop()

    def vanish(self):
        """As a cut wire does: no DISCONNECT."""
        self.paho.loop_stop()
        self.paho._sock.shutdown(socket.SHUT_RDWR)


def every_quality():
    listener, speaker = Client(""), Client("")
    assert listener.subscribe(f"{ROOM}/q/#") == [2]
    for qos in (0, 1, 2):
        for n in range(200):
            speaker.paho.publish(f"{ROOM}/q/{qos}", str(n), qos)
        heard = [listener.next() for _ in range(200)]
        assert [int(m.payload) for m in heard] == list(range(200))
        assert {(m.topic, m.qos, m.retain, m.dup) for m in heard} == {(f"{ROOM}/q/{qos}", qos, False, False)}
    # Less than was published is what was asked for.
    least = Client("")
    assert least.subscribe(f"{ROOM}/q/2", qos=1) == [1]
    speaker.publish(f"{ROOM}/q/2", "x", qos=2)
    assert least.next().qos == 1
    # Of several filters that match, the message comes once, by the best of them.
    twice = Client("")
    assert twice.subscribe(f"{ROOM}/once", qos=0) + twice.subscribe(f"{ROOM}/+", f"{ROOM}/once/#", qos=1) == [0, 1, 1]
    speaker.publish(f"{ROOM}/once", "a")
    speaker.publish(f"{ROOM}/once", "end")
    assert [(m.payload, m.qos) for m in twice.until(b"end")] == [(b"a", 1), (b"end", 1)]
    # What was unsubscribed from does not come.
    twice.paho.unsubscribe([f"{ROOM}/+", f"{ROOM}/never"])
    codes = [code.value for code in twice.acks.get(timeout=PATIENCE)]
    assert not V5 or codes == [0, 17], codes
    for client in (listener, speaker, least, twice):
        client.leave()


def retained():
    speaker = Client("")
    for n, qos in enumerate((0, 1, 2)):
        speaker.publish(f"{ROOM}/kept/{n}", "old", qos=qos, retain=True)
        speaker.publish(f"{ROOM}/kept/{n}", "new", qos=qos, retain=True)
    speaker.publish(f"{ROOM}/kept/1", b"", retain=True)
    late = Client("")
    late.subscribe(f"{ROOM}/kept/+")
    speaker.publish(f"{ROOM}/kept/end", "end", qos=2)
    heard = [(m.topic[-1], m.payload, m.qos, m.retain) for m in late.until(b"end")[:-1]]
    assert sorted(heard) == [("0", b"new", 0, True), ("2", b"new", 2, True)], heard
    # Those who were there are not told that it is old.
    speaker.publish(f"{ROOM}/kept/0", "newer", retain=True)
    assert not late.next().retain
    late.leave()
    speaker.leave()


def wills():
    heir = Client("")
    heir.subscribe(f"{ROOM}/will/#")
    will = {"topic": f"{ROOM}/will/lost", "payload": "gone", "qos": 1, "retain": True}
    polite = Client("", will=will)
    polite.leave()
    rude = Client("", will={**will, "payload": "cut"})
    rude.vanish()
    assert heir.next().payload == b"cut", "a will of one who took leave is not published, one of who vanished is"
    # It connects, and is silent for longer than it said that it would be.
    silent = Client("", will={**will, "payload": "silent"}, keepalive=1, runs=False)
    assert heir.next().payload == b"silent"
    # And this one pings, as it should.
    steady = Client("", keepalive=1)
    time.sleep(3)
    steady.publish(f"{ROOM}/will/steady", "there")
    assert heir.next().payload == b"there"
    assert steady.closed.empty() and silent.code.value == 0
    late = Client("")
    late.subscribe(f"{ROOM}/will/lost")
    assert (late.next().payload, late.subscribe(f"{ROOM}/will/lost")) == (b"silent", [2])
    for client in (heir, steady, late):
        client.leave()


def large_ones():
    listener, speaker = Client(""), Client("")
    listener.subscribe(f"{ROOM}/large")
    payload = bytes(range(256)) * 1000
    for qos in (0, 1, 2):
        speaker.publish(f"{ROOM}/large", payload, qos=qos)
        assert listener.next().payload == payload
    speaker.publish(f"{ROOM}/large", b"", qos=1)
    assert listener.next().payload == b"", "an empty one is a message too"
    # Beyond 257 KiB only its sender is put out.
    assert not V5 or speaker.said.MaximumPacketSize == 257 * 1024
    speaker.paho.publish(f"{ROOM}/large", payload * 2, 1)
    code = speaker.closed.get(timeout=PATIENCE)
    assert not V5 or code.value == 149, code
    again = Client("")
    again.publish(f"{ROOM}/large", "small")
    assert listener.next().payload == b"small"
    listener.leave()
    again.leave()


def takeover():
    first = Client(f"{ROOM}-twin", lasting=True)
    first.subscribe(f"{ROOM}/twin")
    second = Client(f"{ROOM}-twin", lasting=True)
    code = first.closed.get(timeout=PATIENCE)
    assert not V5 or code.value == 142, code
    assert second.flags.session_present, "the session goes over to who came last"
    second.publish(f"{ROOM}/twin", "mine")
    assert second.next().payload == b"mine"
    second.leave()
    anew = Client(f"{ROOM}-twin")
    assert not anew.flags.session_present
    anew.leave()


def odd_topics():
    listener, speaker = Client(""), Client("")
    names = [f"{ROOM}/odd", f"{ROOM}/odd/", f"{ROOM}/odd//x", f"{ROOM}/odd/ä ö/🌞", f"{ROOM}/odd/$x", f"{ROOM}/odd/" + "x" * 900]
    listener.subscribe(f"{ROOM}/odd/#")
    for name in names:
        speaker.publish(name, "x")
        assert listener.next().topic == name
    # "+" is one level, an empty one too, and begins nothing that begins with "$".
    one = Client("")
    assert one.subscribe(f"{ROOM}/odd/+/x", "/+") == [2, 2]
    for name in (names[2], f"{ROOM}/odd/a/b/x", f"/{ROOM}"):
        speaker.publish(name, name)
    assert [m.topic for m in one.until(f"/{ROOM}".encode())] == [names[2], f"/{ROOM}"]
    # "#" has nothing of the broker's own, and nobody may speak there.
    everything = Client("")
    everything.subscribe("#", qos=0)
    assert listener.subscribe("$SYS/#") == [2]
    # What it was told at its subscription stands before this.
    speaker.publish(f"{ROOM}/odd/end", "end")
    assert not any(m.topic.startswith("$") for m in everything.until(b"end"))
    speaker.paho.publish("$SYS/broker/version", "forged", 1)
    code = speaker.closed.get(timeout=PATIENCE)
    assert not V5 or code.value == 144, code
    # What is not supported is refused by its own code.
    shared = one.subscribe(f"$share/group/{ROOM}/odd", f"{ROOM}/fine")
    assert shared == ([158, 2] if V5 else [128, 2]), shared
    for client in (listener, one, everything):
        client.leave()


def of_version_5():
    listener, speaker = Client(""), Client("")
    assert listener.said.AssignedClientIdentifier
    assert listener.said.SharedSubscriptionAvailable == 0
    wanted = properties(PacketTypes.SUBSCRIBE, SubscriptionIdentifier=268_435_455)
    listener.paho.subscribe([(f"{ROOM}/v5/#", SubscribeOptions(qos=2))], properties=wanted)
    listener.acks.get(timeout=PATIENCE)
    pairs = [("unit", "W"), ("unit", "twice"), ("ö", "")]
    speaker.publish(
        f"{ROOM}/v5/a", "{}", qos=2, UserProperty=pairs, ContentType="application/json", PayloadFormatIndicator=1,
        ResponseTopic=f"{ROOM}/v5/answer", CorrelationData=bytes(range(256)), MessageExpiryInterval=1000,
    )
    said = listener.next().properties
    assert said.UserProperty == pairs and said.ContentType == "application/json" and said.PayloadFormatIndicator == 1
    assert said.ResponseTopic == f"{ROOM}/v5/answer" and said.CorrelationData == bytes(range(256))
    assert 990 <= said.MessageExpiryInterval <= 1000 and said.SubscriptionIdentifier == [268_435_455]
    # Not to oneself; told as retained; and what is retained is told once, or never.
    own = Client("")
    own.subscribe(f"{ROOM}/own", noLocal=True)
    own.publish(f"{ROOM}/own", "to myself")
    speaker.publish(f"{ROOM}/own", "to others")
    assert own.next().payload == b"to others"
    speaker.publish(f"{ROOM}/as", "is", retain=True)
    own.subscribe(f"{ROOM}/as", retainAsPublished=True, retainHandling=2)
    speaker.publish(f"{ROOM}/as", "is", retain=True)
    assert own.next().retain
    own.subscribe(f"{ROOM}/as", retainHandling=1)
    speaker.publish(f"{ROOM}/as", "end")
    assert own.next().payload == b"end", "it was not told again what is retained"
    own.subscribe(f"{ROOM}/as", retainHandling=0)
    assert own.next().retain
    # An expiry that has passed.
    speaker.publish(f"{ROOM}/short", "lived", retain=True, MessageExpiryInterval=1)
    time.sleep(1.5)
    own.subscribe(f"{ROOM}/short")
    speaker.publish(f"{ROOM}/short", "end")
    assert own.next().payload == b"end"
    # An alias that was not offered.
    alias = Client("")
    assert getattr(alias.said, "TopicAliasMaximum", 0) == 0
    alias.paho.publish(f"{ROOM}/alias", "x", 1, False, properties(PacketTypes.PUBLISH, TopicAlias=1))
    code = alias.closed.get(timeout=PATIENCE)
    assert code.value == 148, code
    # A session that ends with its connection.
    forgetful = Client(f"{ROOM}-forgetful")
    forgetful.leave()
    back = Client(f"{ROOM}-forgetful", lasting=True)
    assert not back.flags.session_present
    for client in (listener, speaker, own, back):
        client.leave()


def left_behind():
    away, speaker = Client(f"{ROOM}-away", lasting=True), Client("")
    away.subscribe(f"{ROOM}/wait/#")
    away.leave()
    for n in range(150):
        speaker.paho.publish(f"{ROOM}/wait/{n % 3}", str(n), 1 + n % 2)
    speaker.publish(f"{ROOM}/stays", "kept", retain=True)
    speaker.publish(f"{ROOM}/wait/end", "end", qos=2)
    speaker.leave()


def found_again():
    away = Client(f"{ROOM}-away", lasting=True)
    assert away.flags.session_present
    heard = away.until(b"end")
    # paho shows a message by QoS 2 when it is released, so that those by QoS 1 overtake it.
    for qos in (1, 2):
        numbers = [int(m.payload) for m in heard[:-1] if m.qos == qos]
        assert numbers == list(range(qos - 1, 150, 2)), "all of it, once, in order"
    assert {m.dup for m in heard} == {False}
    assert away.subscribe(f"{ROOM}/stays") == [2]
    assert (away.next().payload, away.heard.empty()) == (b"kept", True)
    away.leave()
    gone = Client(f"{ROOM}-away")
    assert not gone.flags.session_present
    gone.leave()


if WHEN == "after":
    found_again()
else:
    steps = [every_quality, retained, wills, large_ones, takeover, odd_topics, *([of_version_5] if V5 else []), left_behind]
    for step in steps:
        step()
        print(step.__name__, flush=True)
print("well", flush=True)
